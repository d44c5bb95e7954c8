import { createMess, type Mess } from '@messkit/sdk'
import { expect, onTestFinished, test } from 'vitest'
import { type Note, Reader, Writer } from '../support/actors.ts'
import { check } from '../support/checker/check.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { eventually } from '../support/eventually.ts'
import { logFiles, readFile, readLog } from '../support/final-log.ts'
import { RawLink } from '../support/raw-link.ts'
import { makeToken, runServer } from '../support/server.ts'
import { mountDisk } from '../support/small-disk.ts'

const TOPIC = 'faults/disk-full'
const MIB = 1024 * 1024
const PAD = 'x'.repeat(20_000)

test('a full disk loses nothing that was acked; clients keep the rest, and go on once there is room', {
  timeout: 300_000,
}, async () => {
  const disk = mountDisk(3 * MIB)
  onTestFinished(() => disk.end())
  const server = await runServer({}, { dataDir: disk.folder })
  onTestFinished(() => server.kill())
  const history: HistoryEvent[] = []
  const mess = open(server.url)
  const writer = new Writer(mess.topic<Note>(TOPIC), 'writer', history, () => PAD)
  const reader = await Reader.start(open(server.url).topic<Note>(TOPIC), history)
  const watcher = await RawLink.open(server.url, TOPIC, await makeToken())

  writer.keepInFlight(20)
  // A commit that fails ends every link that it served. Here the platform ends them, before any frame could say why.
  expect(await watcher.closed).toBe(1006)
  await eventually(() => expect(mess.status).toMatchObject({ connection: 'offline', refused: 0 }))
  expect(mess.status.unsent).toBeGreaterThan(0)
  // What is stored can be read as before.
  const stored = await readLog(open(server.url).topic<Note>(TOPIC))
  expect(stored.head).toBeGreaterThan(50)
  history.push({ e: 'fault', kind: 'disk full' })

  disk.grow(100 * MIB)
  await writer.ackedMore(100)
  await writer.finish()
  const final = await readLog(open(server.url).topic<Note>(TOPIC))
  await reader.reached(final.head)
  await server.kill()
  const [file = ''] = logFiles(disk.folder)

  const verdict = check(history, { logs: [final, readFile(file)], subscriptions: ['reader'] })
  expect([...verdict.violations]).toEqual([])
  expect(verdict.counts.get('acked')).toBe(verdict.counts.get('publish'))
})

function open(url: string): Mess {
  const mess = createMess({ url, token: () => makeToken(), reconnect: { minMs: 5, maxMs: 200 } })
  onTestFinished(async () => void (await mess.close()))
  return mess
}
