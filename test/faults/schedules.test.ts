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
const OVER = { everyMs: EVERY_MS, missed: 'all', overlap: 'allow' } as const

test('SIGKILL between ticks, while nobody is connected: each of them has one job in the end', {
  timeout: 120_000,
}, async () => {
  const random = generator('schedules')
  const server = await runServer()
  onTestFinished(() => server.end())
  const link = await open(server)
  const startAt = Date.now()
  const plan = { ...OVER, startAt, endAt: startAt + TICKS * EVERY_MS }
  const { result } = await link.ask('schedule', { id: 'often', plan, data: '"tick"' })
  const first = (result as { nextAt: number }).nextAt
  link.close()

  // Whatever rings now are alarms: the file is looked at, and nobody asks the server anything.
  for (let seen = 0, rounds = 0; seen < TICKS / 2 || rounds < 5; rounds++) {
    const more = seen + random.below(8)
    await eventually(() => expect(ticksIn(server).length).toBeGreaterThan(more))
    for (let turns = random.below(200); turns > 0; turns--) await new Promise(setImmediate)
    await server.kill()
    seen = ticksIn(server).length
    await server.restart()
  }
  const expected = Array.from({ length: (plan.endAt - first) / EVERY_MS + 1 }, (_, i) => first + i * EVERY_MS)
  await eventually(() => expect(ticksIn(server).length).toBeGreaterThanOrEqual(expected.length))

  expect(ticksIn(server), random.seed).toEqual(expected)
  const worker = await open(server)
  await worker.ask('work', { worker: 'worker_of_test', capacity: 1_000, leaseMs: 60_000 })
  const given = (): number[] =>
    worker.frames.flatMap(({ method, params }) =>
      method === 'jobs' ? ((params as JobsParams).ticks ?? []).map(([, , at]) => at) : [],
    )
  await eventually(() => expect(given().length).toBeGreaterThanOrEqual(expected.length))
  expect(given(), random.seed).toEqual(expected)
  worker.close()
})

test('SIGKILL right behind the answer: a schedule that was acked is woken for', { timeout: 120_000 }, async () => {
  const server = await runServer()
  onTestFinished(() => server.end())
  for (let round = 1; round <= 5; round++) {
    const queue = `reports/${round}`
    const link = await open(server, queue)
    await link.ask('schedule', { id: 'often', plan: OVER, data: `"${queue}"` })
    await server.kill()
    await server.restart()

    await eventually(() => expect(jobsIn(server).filter(({ body }) => body === `"${queue}"`)).not.toEqual([]))
  }
})

async function open({ url }: TestServer, queue = 'reports/all'): Promise<RawLink> {
  return RawLink.openQueue(url, queue, await makeToken())
}

interface Row {
  readonly head: string
  readonly body: string
}

/** Every job that lies on the disk, in the order of ids, without any code of ours. */
function jobsIn({ dataDir }: TestServer): Row[] {
  const folder = join(dataDir, 'messkit-QueueObject')
  const files = existsSync(folder) ? readdirSync(folder) : []
  return files.flatMap((name) => {
    if (!name.endsWith('.sqlite') || name === 'metadata.sqlite') return []
    const database = new DatabaseSync(join(folder, name))
    try {
      return database.prepare('select head, body from job order by id').all() as unknown as Row[]
    } finally {
      database.close()
    }
  })
}

/** For which ticks there are jobs: a job of a schedule has its tick as its sequence. */
function ticksIn(server: TestServer): number[] {
  return jobsIn(server).map(({ head }) => (JSON.parse(head) as [at: number, by: string, sequence: number])[2])
}
