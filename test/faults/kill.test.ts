import { createMess, type Mess } from '@messkit/sdk'
import { expect, onTestFinished, test } from 'vitest'
import { type Note, Reader, Writer } from '../support/actors.ts'
import { check } from '../support/checker/check.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { logFiles, readFile, readLog } from '../support/final-log.ts'
import { generator } from '../support/random.ts'
import { RawLink } from '../support/raw-link.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

const ROUNDS = 50
const TOPIC = 'faults/kill'

test('50 rounds of SIGKILL while publishing: what was acked is there once, where the ack said, and was delivered once, in order', {
  timeout: 400_000,
}, async () => {
  const random = generator('kill')
  const server = await runServer()
  onTestFinished(() => server.end())
  const history: HistoryEvent[] = []
  const reader = await Reader.start(open(server.url).topic<Note>(TOPIC), history)
  const writers = ['one', 'two'].map((name) => new Writer(open(server.url).topic<Note>(TOPIC), name, history))

  for (let round = 0; round < ROUNDS; round++) {
    for (const writer of writers) writer.keepInFlight(random.pick([1, 8, 60, 400]))
    // From before the first ack after a start to far into a stream of them.
    await random.pick(writers).ackedMore(random.pick([0, 1, 20, 200]))
    for (let turns = random.below(30); turns > 0; turns--) await new Promise(setImmediate)
    await server.kill()
    await server.restart()
  }
  await Promise.all(writers.map((writer) => writer.finish()))
  const final = await readLog(open(server.url).topic<Note>(TOPIC))
  await reader.reached(final.head)

  const verdict = check(history, { logs: [final], subscriptions: ['reader'] })
  expect([...verdict.violations], random.seed).toEqual([])
  expect(verdict.counts.get('acked'), random.seed).toBe(verdict.counts.get('publish'))
  for (const writer of writers) await expectSameOffsetsAgain(server, writer)
  await server.kill()
  const [file = ''] = logFiles(server.dataDir)
  expect(readFile(file), random.seed).toEqual(final)
})

function open(url: string): Mess {
  const mess = createMess({ url, token: () => makeToken(), reconnect: { minMs: 5, maxMs: 50 } })
  onTestFinished(async () => void (await mess.close()))
  return mess
}

/** Messages that arrive once more, long after, are recognised and told where they have been all the time. */
async function expectSameOffsetsAgain({ url }: TestServer, { name, publisher, offsets }: Writer): Promise<void> {
  const link = await RawLink.open(url, TOPIC, await makeToken())
  const first = Math.max(1, offsets.length - 999)
  const again = offsets.slice(first - 1)
  const lines = again.map((_, i) => JSON.stringify({ by: name, order: first + i }))

  const { result } = await link.publish(publisher, { after: first - 1, first }, lines)

  const { fates } = result as { fates: { fate: string; first: number; count: number; offset: number }[] }
  expect(new Set(fates.map(({ fate }) => fate))).toEqual(new Set(['duplicate']))
  expect(fates.flatMap((fate) => Array.from({ length: fate.count }, (_, i) => fate.offset + i))).toEqual(again)
  link.close()
}
