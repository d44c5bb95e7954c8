import { expect, it } from 'vitest'
import { MemoryQueueStore } from '../../packages/sdk/src/store/memory-queue.ts'
import type { QueueStores } from '../../packages/sdk/src/store/queue-store.suite.ts'
import { leaseOf, type QueueClient, type Taken } from '../support/queue-client.ts'
import { QueueStage } from './queue-stage.ts'

/** Acks that wait for a commit to go with, where the home is told to let them. */
const stores: QueueStores = { make: () => new MemoryQueueStore(), reopen: (store) => store }
const open = () => QueueStage.open(stores, { lingers: true })

/** Says that jobs are done. @returns the number of the frame */
const ack = (client: QueueClient, ...jobs: readonly Taken[]): number =>
  client.request('settle', { ack: jobs.map(leaseOf) })
const heard = (client: QueueClient, id: number): boolean => client.frames.some((frame) => frame.id === id)

it('an ack waits a moment, and is answered when it is written', async () => {
  const stage = await open()
  const ana = await stage.connect()
  await ana.work(1)
  await ana.enqueue(['a'])
  const commits = stage.written.length

  const said = ack(ana, ...(await ana.gets(1)))

  expect([stage.written.length - commits, heard(ana, said)]).toEqual([0, false])
  stage.moment()
  expect((await ana.answer(said)).result).toEqual({ stale: [] })
  expect(stage.written.length - commits).toBe(1)
})

it('an ack goes with the job that comes meanwhile, and the next one waits as long', async () => {
  const stage = await open()
  const ana = await stage.connect()
  await ana.work(1)
  await ana.enqueue(['a'])
  const first = ack(ana, ...(await ana.gets(1)))
  const commits = stage.written.length
  await ana.enqueue(['b'])
  expect(heard(ana, first)).toBe(true)
  expect(stage.written.length - commits).toBe(1)

  // The moment of the first one ends when there is nothing to write.
  stage.moment()
  const second = ack(ana, ...(await ana.gets(2)).slice(1))

  expect(heard(ana, second)).toBe(false)
  await ana.enqueue(['c'])
  expect(heard(ana, second)).toBe(true)
  expect(stage.written.length - commits).toBe(2)
})

it('an alarm that has nothing to write does not end the waiting of acks to come', async () => {
  const stage = await open()
  const ana = await stage.connect()
  await ana.work(1)
  await ana.enqueue(['a'])
  stage.pass(1)

  const said = ack(ana, ...(await ana.gets(1)))

  expect(heard(ana, said)).toBe(false)
  stage.moment()
  expect(heard(ana, said)).toBe(true)
})

it('nobody else waits for acks that wait', async () => {
  const stage = await open()
  const [ana, bo] = [await stage.connect(), await stage.connect()]
  await ana.work(1)
  const frame = { publisher: 'publisher_bo_00000', after: 0, first: 1 }
  const asks: (() => Promise<unknown>)[] = [
    () => bo.enqueueAs(frame, ['a']),
    () => bo.counts(),
    () => bo.list('ready'),
    () => bo.watch(1),
    () => bo.ask('pause', { paused: false }),
    () => bo.ask('schedules', { limit: 10 }),
    () => bo.settle({ worker: 'puller_bo', ack: [[1, 1]] }),
  ]
  await bo.enqueueAs(frame, ['a'])

  for (const [i, ask] of asks.entries()) {
    const said = ack(ana, ...(await ana.gets(i + 1)).slice(i))
    expect(heard(ana, said)).toBe(false)
    const frames = bo.frames.length
    const answer = ask()
    expect([i, bo.frames.length]).toEqual([i, frames + 1])
    await answer
    await bo.enqueue(['next'])
  }
})

it('nobody is told that a job is not held any more before that is written', async () => {
  const stage = await open()
  const [ana, bo] = [await stage.connect(), await stage.connect()]
  await ana.work(1)
  for (const [i, look] of [
    { method: 'list', state: 'active', limit: 100 } as const,
    { method: 'workers' } as const,
  ].entries()) {
    await ana.enqueue(['a'])
    ack(ana, ...(await ana.gets(i + 1)).slice(i))
    const commits = stage.written.length
    stage.commits.hold()

    const { method, ...params } = look
    const asked = bo.request(method, params)

    expect([method, heard(bo, asked)]).toEqual([method, false])
    stage.commits.release()
    expect((await bo.answer(asked)).error).toBeUndefined()
    expect(stage.written.length - commits).toBe(1)
  }
})

it('what the end of a job makes room for is given away with it, and by nobody without it', async () => {
  const stage = await open()
  const [ana, bo] = [await stage.connect(), await stage.connect()]
  await ana.work(1)
  await ana.enqueue(['a'], { group: 'g' })
  const [first] = await ana.gets(1)
  const said = ack(ana, first as Taken)
  expect(heard(ana, said)).toBe(false)
  const commits = stage.written.length

  await ana.work(0)
  await bo.work(1)
  await ana.enqueue(['b'], { group: 'g' })

  expect(await bo.gets(1)).toMatchObject([{ data: 'b' }])
  expect(stage.written[commits]?.remove).toHaveLength(1)
})

it('a home that dies before an ack is written hears it again, and gives the job to nobody', async () => {
  const stage = await open()
  const ana = await stage.connect()
  await ana.work(1)
  await ana.enqueue(['a'])
  const [job] = (await ana.gets(1)) as [Taken]
  const said = ack(ana, job)
  const dead = stage.lingering.splice(0)

  await stage.restart()
  const back = await stage.connect({ name: 'client0' })
  for (const call of dead) call()
  await back.work(1, { holding: [leaseOf(job)] })
  const again = ack(back, job)
  stage.moment()

  expect(heard(ana, said)).toBe(false)
  expect((await back.answer(again)).result).toEqual({ stale: [] })
  expect([back.taken, await back.counts()]).toMatchObject([[], { ready: 0, active: 0 }])
})

it('an ack is written although its link has gone', async () => {
  const stage = await open()
  const [ana, bo] = [await stage.connect(), await stage.connect()]
  await ana.work(1)
  await ana.enqueue(['a'])
  ack(ana, ...(await ana.gets(1)))
  const commits = stage.written.length

  ana.leave({ left: true })
  stage.moment()

  expect(stage.written[commits]?.remove).toHaveLength(1)
  await stage.restart()
  const back = await stage.connect()
  expect(await back.counts()).toMatchObject({ ready: 0, active: 0 })
  expect(bo.taken).toEqual([])
})
