import { createMess, type Topic } from '@messkit/sdk'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Note, Reader, readLog, Writer } from '../support/actors.ts'
import { check } from '../support/checker/check.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { runProxy, type TestProxy } from '../support/proxy.ts'
import { generator } from '../support/random.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

/** All of them, some 1,200 each way, take a minute. */
const POSITIONS = 100
const ROUNDS = 100

let server: TestServer
let proxy: TestProxy
beforeAll(async () => {
  server = await runServer()
  proxy = await runProxy(server.port)
})
afterAll(async () => {
  await proxy.end()
  await server.end()
})

for (const way of ['up', 'down'] as const) {
  test(`a connection cut at any byte on its way ${way} loses nothing and doubles nothing`, {
    timeout: 120_000,
  }, async () => {
    const random = generator(`cut ${way}`)
    const token = await makeToken()
    const { [way]: total } = await exchange(`cut/${way}/whole`, token)
    const step = total / POSITIONS

    for (let i = 0; i < POSITIONS; i++) {
      const position = Math.floor(i * step + random.next() * step)
      proxy[way].cutAfter = position
      const count = proxy.count
      const { offsets, seen, stored } = await exchange(`cut/${way}/${i}`, token)

      const what = `cut after byte ${position} of ${total}; ${random.seed}`
      expect(proxy.count - count, what).toBe(2)
      expect(offsets, what).toEqual([0, 1, 2])
      expect(seen, what).toEqual(['0: first', '1: second', '2: third'])
      expect(stored, what).toEqual(seen)
    }
  })
}

test('connections cut again and again under load, in the middle of frames, lose nothing and double nothing', {
  timeout: 120_000,
}, async () => {
  const random = generator('cut under load')
  const history: HistoryEvent[] = []
  const token = await makeToken()
  const open = (url: string): Topic<Note> => {
    const mess = createMess({ url, token: () => token, reconnect: { minMs: 1, maxMs: 10 } })
    onTestFinished(async () => void (await mess.close()))
    return mess.topic<Note>('cut/load')
  }
  const reader = await Reader.start(open(proxy.url), history)
  const writers = ['one', 'two'].map((name) => new Writer(open(proxy.url), name, history))

  for (let round = 0; round < ROUNDS; round++) {
    for (const writer of writers) writer.keepInFlight(random.pick([1, 10, 200]))
    await random.pick(writers).ackedMore(random.below(100))
    const way = random.pick([proxy.up, proxy.down])
    way.delayMs = random.pick([0, 0, 1])
    if (random.below(3) === 0) proxy.cut(random.pick(['reset', 'end']))
    else way.cutAfter = random.below(20_000)
  }
  for (const way of [proxy.up, proxy.down]) Object.assign(way, { delayMs: 0, cutAfter: Number.POSITIVE_INFINITY })
  await Promise.all(writers.map((writer) => writer.finish()))
  const final = await readLog(open(server.url))
  await reader.reached(final.head)

  const verdict = check(history, { logs: [final], subscriptions: ['reader'] })
  expect([...verdict.violations], random.seed).toEqual([])
  expect(verdict.counts.get('acked'), random.seed).toBe(verdict.counts.get('publish'))
})

/** What one client does on one connection: shake hands, subscribe, publish, be acked. The client's bytes are the same each time. */
async function exchange(name: string, token: string) {
  const mess = createMess({ url: proxy.url, token: () => token, reconnect: { minMs: 1, maxMs: 1 } })
  onTestFinished(async () => void (await mess.close()))
  const topic = mess.topic<string>(name.padEnd(40, '-'))
  const before = { up: proxy.up.bytes, down: proxy.down.bytes }
  const seen: string[] = []
  const all = new Promise<void>((resolve) => {
    const take = ({ offset, data }: { offset: number; data: string }): void => {
      seen.push(`${offset}: ${data}`)
      if (data === 'third') resolve()
    }
    topic.subscribe(take, { from: 'start', onGap: (gap) => void seen.push(`gap ${JSON.stringify(gap)}`) })
  })
  const first = await topic.publish('first')
  const rest = await Promise.all([topic.publish('second'), topic.publish('third')])
  await all
  const bytes = { up: proxy.up.bytes - before.up, down: proxy.down.bytes - before.down }
  await mess.close()
  return { ...bytes, offsets: [first, ...rest].map(({ offset }) => offset), seen, stored: await read(name, token) }
}

async function read(name: string, token: string): Promise<string[]> {
  const mess = createMess({ url: server.url, token: () => token })
  const { messages } = await mess.topic<string>(name.padEnd(40, '-')).history()
  await mess.close()
  return messages.map(({ offset, data }) => `${offset}: ${data}`)
}
