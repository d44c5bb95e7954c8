import { readdirSync } from 'node:fs'
import { createMess, type Mess } from '@messkit/sdk'
import { LIMITS } from '@messkit/sdk/protocol'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { type Note, Reader, Writer } from '../support/actors.ts'
import { check } from '../support/checker/check.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { readLog } from '../support/final-log.ts'
import { memoryOf } from '../support/processes.ts'
import { runProxy } from '../support/proxy.ts'
import { makeToken, runServer } from '../support/server.ts'

const CLIENTS = 1_000
const TOPIC = 'faults/herd'
/** An object in production has so much. */
const MEMORY_BYTES = 128 * 1024 * 1024
/** For all of them to be back and to have everything. */
const BACK_MS = 60_000
const open: Mess[] = []
afterAll(async () => void (await Promise.all(open.map((mess) => mess.close()))))

test(`${CLIENTS} clients that lose their server at once are all back in time, with everything that was published meanwhile`, {
  timeout: 600_000,
}, async () => {
  const server = await runServer()
  onTestFinished(() => server.end())
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  const token = await makeToken()
  const client = (url: string) => {
    const mess = createMess({ url, token: () => token, reconnect: { minMs: 50, maxMs: 2_000 } })
    open.push(mess)
    return mess.topic<Note>(TOPIC)
  }
  const history: HistoryEvent[] = []
  const writer = new Writer(client(server.url), 'writer', history, () => 'x'.repeat(200))
  const readers: Reader[] = []
  for (let i = 0; i < CLIENTS; i++)
    readers.push(new Reader(client(proxy.url), history, { name: `reader ${i}`, from: 'start' }))
  await Promise.all(readers.map(({ ready }) => ready))
  writer.keepInFlight(10, 20)
  await writer.ackedMore(20)
  await Promise.all(readers.map((reader) => reader.reached(20)))

  proxy.refusing = true
  proxy.cut('reset')
  await server.kill()
  await server.restart()
  writer.keepInFlight(10, 80)
  await writer.finish()
  proxy.refusing = false
  const brokenAt = performance.now()
  const final = await readLog(client(server.url))
  await Promise.all(readers.map((reader) => reader.reached(final.head)))
  history.push({ e: 'rested', ms: performance.now() - brokenAt, limitMs: BACK_MS })
  const memory = memoryOf(server.pid)
  if (memory !== undefined)
    // What the server has besides its objects comes on top; it is below 100 MB.
    history.push({ e: 'sample', bound: 'memory of the server', value: memory, limit: 2 * MEMORY_BYTES })
  const sockets = socketsOf(server.pid)
  if (sockets !== undefined)
    history.push({ e: 'sample', bound: 'sockets of the server', value: sockets, limit: 2 * CLIENTS + 100 })

  const verdict = check(history, { logs: [final], subscriptions: readers.map(({ name }) => name) })
  expect([...verdict.violations]).toEqual([])
  expect(proxy.open).toBe(CLIENTS)
  expect(CLIENTS).toBeLessThan(LIMITS.linksPerTopic)
})

/** Files that a process has open, two for each WebSocket, where the system tells. */
function socketsOf(pid: number): number | undefined {
  return process.platform === 'linux' ? readdirSync(`/proc/${pid}/fd`).length : undefined
}
