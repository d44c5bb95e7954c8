import { expect, it } from 'vitest'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { MemoryQueueStore } from '../../packages/sdk/src/store/memory-queue.ts'
import type { LaneCount, QueueStore } from '../../packages/sdk/src/store/queue-store.ts'
import { leaseOf, type QueueClient, type Taken } from '../support/queue-client.ts'
import { QueueStage } from './queue-stage.ts'

/** What is read, and how often, where much waits. Times would say how busy the machine is; these are the same everywhere. */
async function counted(): Promise<{ stage: QueueStage; read: { rows: number; questions: number } }> {
  const read = { rows: 0, questions: 0 }
  const note = <T>(rows: readonly T[]): readonly T[] => {
    read.rows += rows.length
    read.questions++
    return rows
  }
  const counting = (store: QueueStore): QueueStore => ({
    load: (epoch) => store.load(epoch),
    commit: (commit) => store.commit(commit),
    durable: () => store.durable(),
    page: (...asked) => note(store.page(...asked) as ReturnType<MemoryQueueStore['page']>),
    get: (places) => note(store.get(places) as ReturnType<MemoryQueueStore['get']>),
    since: (...asked) => note(store.since(...asked) as ReturnType<MemoryQueueStore['since']>),
    find: (...asked) => note(store.find(...asked) as ReturnType<MemoryQueueStore['page']>),
    count: (...asked) => {
      const counts = store.count(...asked) as readonly LaneCount[]
      for (const { due } of counts) read.rows += due
      read.questions++
      return counts
    },
  })
  const memory = new MemoryQueueStore()
  const stage = await QueueStage.open({ make: () => counting(memory), reopen: () => counting(memory) })
  return { stage, read }
}

async function enqueueAll(client: QueueClient, each: readonly { group: string }[]): Promise<void> {
  for (let first = 0; first < each.length; first += LIMITS.messagesPerFrame) {
    const batch = each.slice(first, first + LIMITS.messagesPerFrame)
    await client.enqueue(
      batch.map((_, i) => first + i),
      {},
      batch,
    )
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Acks as many as it is given, until it was given so many in all. @returns what it was given */
async function workOff(client: QueueClient, count: number): Promise<readonly Taken[]> {
  for (let done = client.taken.length; ; done = client.taken.length) {
    await client.settle({ ack: client.taken.slice(0, done).filter(once()).map(leaseOf) })
    if (done >= count) return client.taken
    await client.gets(done + 1)
  }
}

const acked = new WeakSet<Taken>()
const once = () => (taken: Taken) => !acked.has(taken) && acked.add(taken) !== undefined

for (const [order, groupAt] of [
  ['side by side', (i: number) => i % 10_000],
  ['one after the other', (i: number) => Math.floor(i / 5)],
] as const)
  it(`a backlog of 10,000 groups, ${order}, is read twice at most`, { timeout: 120_000 }, async () => {
    const { stage, read } = await counted()
    const client = await stage.connect()
    const jobs = 50_000
    await enqueueAll(
      client,
      upTo(jobs).map((i) => ({ group: `tenant ${groupAt(i)}` })),
    )

    await client.work(500)
    await client.gets(1)
    const taken = await workOff(client, jobs)

    expect(read.rows).toBeLessThanOrEqual(2 * jobs)
    expect(read.questions).toBeLessThanOrEqual(jobs / 50)
    const next = new Map<number, number>()
    for (const { data } of taken) {
      const group = groupAt(data as number)
      expect(data as number).toBeGreaterThan(next.get(group) ?? -1)
      next.set(group, data as number)
    }
  })

it('a backlog of 100,000 jobs of one group is passed once, and found again', { timeout: 120_000 }, async () => {
  const { stage, read } = await counted()
  const client = await stage.connect()
  const backlog = 100_000 + LIMITS.groupPlaces
  await enqueueAll(
    client,
    upTo(backlog).map(() => ({ group: 'large' })),
  )
  await enqueueAll(
    client,
    upTo(100).map((i) => ({ group: `small ${i}` })),
  )
  await stage.hibernate()
  read.rows = 0

  await client.work(1_000)
  await client.gets(101)

  expect(client.taken.map(({ data }) => data).slice(1)).toEqual(upTo(100))
  expect(read.rows).toBeLessThanOrEqual(backlog + 2 * LIMITS.laneJobs)
  read.rows = 0
  const [before] = client.taken
  await client.settle({ ack: [leaseOf(before as Taken)] })
  for (let n = 2; n <= 1_000; n++) await client.settle({ ack: [leaseOf((await client.gets(100 + n)).at(-1) as Taken)] })
  expect(read.rows).toBeLessThanOrEqual(2 * LIMITS.laneJobs)
})

it('counting reads nothing of a backlog, also after a restart', async () => {
  const { stage, read } = await counted()
  const client = await stage.connect()
  for (let first = 0; first < 50_000; first += 1_000) await client.enqueue(upTo(1_000))
  for (let first = 0; first < 20_000; first += 1_000) await client.enqueue(upTo(1_000), { delayMs: 60_000 })
  await client.work(5)
  const taken = await client.gets(5)
  await client.settle({ retry: taken.slice(0, 2).map((one) => ({ lease: leaseOf(one), error: '', dead: true })) })
  await client.settle({ ack: [leaseOf(client.taken[2] as Taken)] })
  await stage.hibernate()
  read.rows = 0

  expect(await client.counts()).toMatchObject({ scheduled: 20_000, dead: 2, active: 5 })
  // What waking reads: the jobs that were leased, and those that are newer than the last lease; and the first ones of each lane.
  expect(read.rows).toBeLessThanOrEqual(5 * LIMITS.laneJobs)
  stage.pass(60_000)
  read.rows = 0
  expect(await client.counts()).toMatchObject({ ready: 50_000 - 3 - 5 + LIMITS.countedJobs })
  expect(read.rows).toBeLessThanOrEqual(LIMITS.countedJobs + 5 * LIMITS.laneJobs)
})
