import { createMess, type Topic } from '@messkit/sdk'
import { expect, onTestFinished, test } from 'vitest'
import { type Note, Reader, Writer } from '../support/actors.ts'
import { check } from '../support/checker/check.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { readLog } from '../support/final-log.ts'
import { runProxy } from '../support/proxy.ts'
import { generator } from '../support/random.ts'
import { makeToken, runServer } from '../support/server.ts'
import { Cuts } from './cuts.ts'

/** All of them, some 1,200 each way, are for the campaign: `npm run faults -- --cuts`. */
const POSITIONS = 100
const ROUNDS = 100

for (const way of ['up', 'down'] as const) {
  test(`a connection cut at any byte on its way ${way} loses nothing and doubles nothing`, {
    timeout: 300_000,
  }, async () => {
    const random = generator(`cut ${way}`)
    const cuts = await Cuts.start()
    onTestFinished(() => cuts.end())
    const { [way]: total } = await cuts.bytes()
    const step = total / POSITIONS

    for (let i = 0; i < POSITIONS; i++) {
      const position = Math.floor(i * step + random.next() * step)
      expect(await cuts.at(way, position), random.seed).toBeUndefined()
    }
  })
}

test('connections cut again and again under load, in the middle of frames, lose nothing and double nothing', {
  timeout: 300_000,
}, async () => {
  const random = generator('cut under load')
  const server = await runServer()
  onTestFinished(() => server.end())
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
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
