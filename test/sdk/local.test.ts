import { createMess } from '@messkit/sdk'
import { onTestFinished } from 'vitest'
import { behaviour, type Place } from './behaviour.suite.ts'

const client: Place['client'] = async (options = {}) => {
  const mess = createMess(options)
  mess.on('error', () => {}) // or the console is told of those that are meant to happen
  onTestFinished(async () => void (await mess.close()))
  return mess
}

behaviour({
  name: 'in the process',
  client,
  pair: async () => {
    const mess = await client()
    return [mess, mess]
  },
  messageCount: 100_000,
  topicCount: 1_000,
})
