import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMess, type Mess, type OutboxEntry } from '@messkit/sdk'
import { expect, onTestFinished, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { eventually } from '../support/eventually.ts'
import { runProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

const TOPIC = 'faults/lost-data'

test('a server whose data is gone is a gap of another epoch, and its publishers begin anew', async () => {
  const server = await start()
  const mess = client(server)
  const refused: OutboxEntry[] = []
  mess.on('refused', (entry) => refused.push(entry))
  const topic = mess.topic<string>(TOPIC)
  const { subscription, seen, until } = collect(topic)
  await subscription.ready
  for (const text of ['a', 'b', 'c']) await topic.publish(text)
  await until(['a', 'b', 'c'])

  await server.kill()
  const uncertain = topic.publish('d')
  empty(server.dataDir)
  await server.restart()

  // Whether this one was stored nobody can tell any more: it is not sent blindly.
  await expect(uncertain).rejects.toMatchObject({ code: 'publisher_expired', id: uncertain.id, retryable: false })
  expect(refused).toMatchObject([{ id: uncertain.id, state: 'refused' }])
  expect(await mess.outbox.retry(uncertain.id)).toMatchObject({ offset: 0, duplicate: false })
  await topic.publish('e')
  await eventually(() => expect(seen.at(-1)).toBe('e'))
  expect(seen).toEqual(['a', 'b', 'c', 'gap 3 to 0: epoch', 'd', 'e'])
  expect((await topic.history()).messages.map(({ data, own }) => [data, own])).toEqual([
    ['d', true],
    ['e', true],
  ])
})

test('a server that was restored from an older copy is a gap that goes back', async () => {
  const server = await start()
  const mess = client(server)
  const topic = mess.topic<string>(TOPIC)
  const { subscription, until } = collect(topic)
  await subscription.ready
  for (const text of ['a', 'b', 'c']) await topic.publish(text)
  await until(['a', 'b', 'c'])
  await server.kill()
  const copy = mkdtempSync(join(tmpdir(), 'messkit-copy-'))
  onTestFinished(() => rmSync(copy, { recursive: true }))
  cpSync(server.dataDir, copy, { recursive: true })
  await server.restart()
  for (const text of ['d', 'e']) await topic.publish(text)
  await until(['a', 'b', 'c', 'd', 'e'])

  await server.kill()
  empty(server.dataDir)
  cpSync(copy, server.dataDir, { recursive: true })
  await server.restart()
  await until(['a', 'b', 'c', 'd', 'e', 'gap 5 to 3: rewound'])
  await client(server).topic<string>(TOPIC).publish('f')

  await until(['a', 'b', 'c', 'd', 'e', 'gap 5 to 3: rewound', 'f'])
})

test('what retention took while a subscriber was away is one gap, in its place', async () => {
  const server = await start({ RETENTION: '{"messages":3}' })
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  const { subscription, seen } = collect(client(proxy).topic<string>(TOPIC))
  await subscription.ready
  const topic = client(server).topic<string>(TOPIC)
  const pad = 'x'.repeat(6_000) // each is a row of its own, and rows are what is trimmed
  await topic.publish(`0 ${pad}`)
  await eventually(() => expect(seen).toHaveLength(1))

  proxy.refusing = true
  proxy.cut('reset')
  for (let number = 1; number <= 10; number++) await topic.publish(`${number} ${pad}`)
  proxy.refusing = false

  await eventually(() => expect(seen).toHaveLength(5))
  expect(seen.map((text) => text.replace(` ${pad}`, ''))).toEqual(['0', 'gap 1 to 8: retention', '8', '9', '10'])
})

async function start(vars: Record<string, string> = {}): Promise<TestServer> {
  const server = await runServer(vars)
  onTestFinished(() => server.end())
  return server
}

function client({ url }: { readonly url: string }): Mess {
  const mess = createMess({ url, token: () => makeToken(), reconnect: { minMs: 1, maxMs: 20 } })
  onTestFinished(async () => void (await mess.close()))
  return mess
}

function empty(folder: string): void {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
}
