import { createMess, type Mess, type MessOptions } from '@messkit/sdk'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { makeToken, runServer, type TestServer } from '../support/server.ts'
import { behaviour, type Place } from './behaviour.suite.ts'

let server: TestServer
beforeAll(async () => {
  server = await runServer()
})
afterAll(() => server.end())

const client: Place['client'] = async ({ retention, ...options } = {}) => {
  if (!retention) return open(server, options)
  const other = await runServer({ RETENTION: JSON.stringify(retention) })
  const mess = open(other, options)
  onTestFinished(() => other.end())
  return mess
}

behaviour({
  name: 'on a server',
  client,
  pair: async () => [await client(), await client()],
  messageCount: 20_000,
  topicCount: 30,
})

function open({ url }: { readonly url: string }, options: MessOptions = {}): Mess {
  const mess = createMess({ url, token: () => makeToken(), ...options })
  mess.on('error', () => {}) // or the console is told of those that are meant to happen
  onTestFinished(async () => void (await mess.close()))
  return mess
}
