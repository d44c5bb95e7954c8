import { expect, it } from 'vitest'
import { MemoryQueueStore } from '../../packages/sdk/src/store/memory-queue.ts'
import type { QueueStore } from '../../packages/sdk/src/store/queue-store.ts'
import { leaseOf, type QueueClient } from '../support/queue-client.ts'
import { QueueStage } from './queue-stage.ts'

/** A job that is held by somebody who wants more, at a home where acks may wait for company. */
async function holding(): Promise<{ stage: QueueStage; client: QueueClient }> {
  const memory: QueueStore = new MemoryQueueStore()
  const stage = await QueueStage.open({ make: () => memory, reopen: () => memory }, { lingers: true })
  const client = await stage.connect()
  await client.work(10)
  await client.enqueue(['a'])
  await client.gets(1)
  return { stage, client }
}

const removals = ({ written }: QueueStage): number[] => written.map(({ remove }) => remove.length)
const taken = (client: QueueClient, index: number) => leaseOf(client.taken[index] as QueueClient['taken'][number])

it('an ack that nobody waits for is written with what comes next', async () => {
  const { stage, client } = await holding()
  const before = stage.written.length

  const acked = client.settle({ ack: [taken(client, 0)] })
  expect(stage.written).toHaveLength(before)
  await client.enqueue(['b'])
  await client.gets(2)

  expect(await acked).toMatchObject({ stale: [] })
  expect(removals(stage).slice(before)).toEqual([1])
  // Whoever comes back then has nothing to write, and the next ack waits as this one did.
  for (const back of stage.lingering.splice(0)) back()
  const next = client.settle({ ack: [taken(client, 1)] })
  expect(stage.written).toHaveLength(before + 1)
  for (const back of stage.lingering.splice(0)) back()
  expect(await next).toMatchObject({ stale: [] })
  expect(removals(stage).slice(before)).toEqual([1, 1])
})

it('an ack after which nothing comes is written and answered in a moment, and asks once for that', async () => {
  const { stage, client } = await holding()
  await client.enqueue(['b'])
  await client.gets(2)
  const before = stage.written.length

  const both = [client.settle({ ack: [taken(client, 0)] }), client.settle({ ack: [taken(client, 1)] })]
  expect(stage.lingering).toHaveLength(1)
  stage.lingering[0]?.()

  expect(await Promise.all(both)).toEqual([{ stale: [] }, { stale: [] }])
  expect(removals(stage).slice(before)).toEqual([2])
})

it('an ack of a job that somebody watches is written at once, and so is one over HTTP', async () => {
  const { stage, client } = await holding()
  const watcher = await stage.connect()
  await watcher.ask('watch', { ids: [taken(client, 0)[0]] })

  await client.settle({ ack: [taken(client, 0)] })
  await client.enqueue(['b'])
  await client.gets(2)
  await client.work(0)
  await client.settle({ release: [taken(client, 1)] })
  const claimed = (await client.ask('claim', { worker: 'shell_worker', count: 1, leaseMs: 1_000 })) as {
    token: number
    jobs: [number][]
  }
  await client.ask('settle', { worker: 'shell_worker', ack: [[claimed.jobs[0]?.[0], claimed.token]] })

  expect(stage.lingering).toEqual([])
})

it('an ack that was not written yet is forgotten with its home, and counts when it is said again', async () => {
  const { stage, client } = await holding()
  void client.settle({ ack: [taken(client, 0)] }).catch(() => {})

  await stage.hibernate()
  const before = stage.written.length
  // Of a life that is over.
  for (const back of stage.lingering.splice(0)) back()
  const again = client.settle({ ack: [taken(client, 0)] })
  for (const back of stage.lingering.splice(0)) back()

  expect(await again).toEqual({ stale: [] })
  expect(removals(stage).slice(before)).toEqual([1])
  expect(client.taken).toHaveLength(1)
})
