import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import type { JobsParams } from '../../packages/sdk/src/protocol/frames/queue.ts'
import { eventually } from '../support/eventually.ts'
import { generator } from '../support/random.ts'
import { RawLink } from '../support/raw-link.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

const EVERY_MS = 100
const TICKS = 80
const EVERY = { everyMs: EVERY_MS, missed: 'all', overlap: 'allow' } as const
const QUEUE = 'reports/all'

test('SIGKILL between ticks, while nobody is connected: each of them has one job in the end', {
  timeout: 120_000,
}, async () => {
  const random = generator('schedules')
  const server = await runServer()
  onTestFinished(() => server.end())
  const link = await open(server, QUEUE)
  const startAt = Date.now()
  const plan = { ...EVERY, startAt, endAt: startAt + TICKS * EVERY_MS }
  const { result } = await link.ask('schedule', { id: QUEUE, plan, data: '"tick"' })
  const first = (result as { nextAt: number }).nextAt
  link.close()

  // Whatever rings now are alarms: the file is looked at, and nobody asks the server anything.
  for (let seen = 0, rounds = 0; seen < TICKS / 2 || rounds < 5; rounds++) {
    const more = Math.min(TICKS - 1, seen + random.below(8))
    await eventually(() => expect(jobCount(server, QUEUE)).toBeGreaterThan(more))
    for (let turns = random.below(200); turns > 0; turns--) await new Promise(setImmediate)
    await server.kill()
    seen = jobCount(server, QUEUE)
    await server.restart()
  }
  const expected = Array.from({ length: (plan.endAt - first) / EVERY_MS + 1 }, (_, i) => first + i * EVERY_MS)
  await eventually(() => expect(jobCount(server, QUEUE)).toBeGreaterThanOrEqual(expected.length))
  const worker = await open(server, QUEUE)
  await worker.ask('work', { worker: 'worker_of_test', capacity: 1_000, leaseMs: 60_000 })
  const given = (): number[] =>
    worker.frames.flatMap(({ method, params }) =>
      method === 'jobs' ? ((params as JobsParams).ticks ?? []).map(([, , at]) => at) : [],
    )
  await eventually(() => expect(given().length).toBeGreaterThanOrEqual(expected.length))

  expect(given(), random.seed).toEqual(expected)
  const { result: counts } = await worker.ask('counts', {})
  expect(counts, random.seed).toMatchObject({ ready: 0, active: expected.length })
  worker.close()
})

test('SIGKILL right behind the answer: a schedule that was acked is woken for', { timeout: 120_000 }, async () => {
  const server = await runServer()
  onTestFinished(() => server.end())
  for (let round = 1; round <= 5; round++) {
    const queue = `reports/${round}`
    const link = await open(server, queue)
    await link.ask('schedule', { id: queue, plan: EVERY, data: 'null' })
    await server.kill()
    await server.restart()

    await eventually(() => expect(jobCount(server, queue)).toBeGreaterThan(0))
  }
})

async function open({ url }: TestServer, queue: string): Promise<RawLink> {
  return RawLink.openQueue(url, queue, await makeToken())
}

/** How many jobs a schedule has added, as its row on the disk has it. */
function jobCount({ dataDir }: TestServer, schedule: string): number {
  const folder = join(dataDir, 'messkit-QueueObject')
  const files = existsSync(folder) ? readdirSync(folder) : []
  const rows = files.flatMap((name) => {
    if (!name.endsWith('.sqlite') || name === 'metadata.sqlite') return []
    const database = new DatabaseSync(join(folder, name))
    try {
      return database.prepare('select text from queue_fact where name = ?').all(`s:${schedule}`)
    } finally {
      database.close()
    }
  })
  const [row] = rows as unknown as readonly { readonly text: string }[]
  return row ? (JSON.parse(row.text) as { jobCount: number }).jobCount : 0
}
