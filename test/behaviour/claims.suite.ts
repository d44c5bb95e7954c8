import { describe, expect, it } from 'vitest'
import { RIGHTS } from '../../packages/sdk/src/broker/rights.ts'
import type { Lease } from '../../packages/sdk/src/protocol/frames/queue.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import type { QueueStores } from '../../packages/sdk/src/store/queue-store.suite.ts'
import { ANA, QueueStage } from './queue-stage.ts'

/** What every home of a queue does for those who ask for jobs and are not pushed to. */
export function claimsSuite(name: string, stores: QueueStores): void {
  const { within = (test: () => Promise<void>) => test() } = stores
  const promise = (sentence: string, test: (stage: QueueStage) => Promise<void>) =>
    it(sentence, { timeout: 30_000 }, () => within(async () => test(await QueueStage.open(stores))))
  const worker = 'puller_client0'
  const leasesOf = ({
    token,
    jobs,
  }: {
    token?: number | undefined
    jobs: (readonly [number, number, number, ...unknown[]])[]
  }) => jobs.map(([id]): Lease => [id, token as number])

  describe(`${name}: claims`, () => {
    promise('are answered with the jobs there are, as many as were asked for, or with none', async (stage) => {
      const client = await stage.connect()

      expect(await client.claim(2)).toEqual({ jobs: [], messages: [] })
      await client.enqueue(['a', 'b', 'c'])

      const two = await client.claim(2)
      expect(two).toMatchObject({ token: 1, untilMs: stage.nowMs + 60_000, messages: ['a', 'b'] })
      expect(two.jobs).toEqual([
        [1, 1, stage.nowMs],
        [2, 1, stage.nowMs],
      ])
      expect(await client.claim(2)).toMatchObject({ messages: ['c'] })
      expect(await client.claim(2)).toMatchObject({ jobs: [] })
      expect(client.taken).toEqual([])
    })

    promise('are answered once the leases are durable', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a'])
      stage.commits.hold()

      const asked = client.claim(1)
      await stage.commits.reached()
      expect(client.frames.filter(({ result }) => result && 'jobs' in (result as object))).toEqual([])
      stage.commits.release()

      expect(await asked).toMatchObject({ messages: ['a'] })
    })

    promise('wait, if they say so, for a job that comes or becomes due', async (stage) => {
      const [client, other] = [await stage.connect(), await stage.connect()]
      const first = client.claim(1, { wait: true })
      await other.enqueue(['a'])
      expect(await first).toMatchObject({ messages: ['a'] })

      const second = client.claim(1, { wait: true })
      await other.enqueue(['later'], { delayMs: 5_000 })
      await other.counts()
      expect(stage.wakes.at(-1)).toBe(stage.nowMs + 5_000)
      stage.pass(5_000)

      expect(await second).toMatchObject({ messages: ['later'] })
    })

    promise('that wait are answered by a home that has lost its memory since', async (stage) => {
      const [client, other] = [await stage.connect(), await stage.connect()]
      const waiting = client.claim(1, { wait: true })
      await client.counts()
      await stage.hibernate()

      await other.enqueue(['a', 'b'])
      expect(await waiting).toMatchObject({ messages: ['a'] })
      await stage.hibernate()

      // It was answered, and waits no more.
      expect(await other.counts()).toMatchObject({ ready: 1, active: 1 })
    })

    promise('are settled on any link of the same user, by who names the same worker', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a', 'b', 'c', 'd'])
      const leases = leasesOf(await client.claim(4))
      client.leave()
      const back = await stage.connect()

      const [ack, retry, extend, release] = leases as [Lease, Lease, Lease, Lease]
      const settled = await back.settle({
        worker,
        ack: [ack],
        retry: [{ lease: retry, error: 'no', delayMs: 60_000 }],
        extend: [{ lease: extend, ms: 90_000 }],
        release: [release],
      })

      expect(settled).toEqual({ stale: [] })
      expect(await back.counts()).toMatchObject({ active: 1, retrying: 1, ready: 1 })
    })

    promise('are settled by nobody else: no other user, no other worker, and none that is pushed to', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a'])
      const leases = leasesOf(await client.claim(1))
      const [bo, pushed] = [await stage.connect({ identity: { ...ANA, key: 'issuer bo' } }), await stage.connect()]
      await pushed.work(1, { worker })

      expect(await bo.settle({ worker, ack: leases })).toEqual({ stale: leases })
      expect(await client.settle({ worker: 'puller_of_another_name', ack: leases })).toEqual({ stale: leases })
      expect(await client.settle({ ack: leases })).toEqual({ stale: leases })
      expect(await pushed.settle({ ack: leases })).toEqual({ stale: leases })
      expect(await client.settle({ worker, ack: leases })).toEqual({ stale: [] })
    })

    promise('end at their time and by no grace, also over a restart; what comes late is stale', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a'])
      const first = leasesOf(await client.claim(1))
      client.leave()
      await stage.restart()
      const back = await stage.connect()
      stage.pass(LIMITS.workerGraceMs + 1)
      expect(await back.counts()).toMatchObject({ active: 1 })

      stage.pass(60_000)
      const again = await back.claim(1, { worker: 'puller_of_another_name' })

      expect(again.jobs).toMatchObject([[1, 2, expect.any(Number)]])
      expect(await back.settle({ worker, ack: first })).toEqual({ stale: first })
    })

    promise('are acked late while nobody else was given the job', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a'])
      const leases = leasesOf(await client.claim(1))
      stage.pass(60_000)

      expect(await client.settle({ worker, ack: leases })).toEqual({ stale: [] })
      expect(await client.counts()).toMatchObject({ ready: 0, active: 0 })
    })

    promise('whose link is gone before they are durable leave their jobs to others, and no loss', async (stage) => {
      const [client, other] = [await stage.connect(), await stage.connect()]
      await client.enqueue(['a'])
      stage.commits.hold()
      client.claim(1).catch(() => {})
      await stage.commits.reached()
      client.leave()
      stage.commits.release()

      const taken = await other.claim(1, { wait: true })

      expect(taken.jobs).toMatchObject([[1, 1, expect.any(Number)]])
    })

    promise('are given nothing while the queue is paused, and one page at most', async (stage) => {
      const client = await stage.connect()
      const large = 'x'.repeat(200_000)
      await client.enqueue([large, large, large])
      await client.enqueue([large, large, large])
      await client.ask('pause', { paused: true })
      expect(await client.claim(6)).toMatchObject({ jobs: [] })
      await client.ask('pause', { paused: false })

      expect((await client.claim(6)).jobs).toHaveLength(Math.ceil(LIMITS.pageBytes / 200_000))
    })

    promise('need the right to work, also while they wait', async (stage) => {
      const mayNot = { ...ANA, rights: RIGHTS.enqueue | RIGHTS.view }
      const [client, poor] = [await stage.connect(), await stage.connect({ identity: mayNot })]

      await expect(poor.claim(1)).rejects.toMatchObject({ code: 'forbidden' })
      client.claim(1, { wait: true }).catch(() => {})
      stage.home.judge(1, mayNot)
      await poor.enqueue(['a'])

      expect(client.closed).toMatchObject({ reason: 'access_changed' })
      expect(await poor.counts()).toMatchObject({ ready: 1, active: 0 })
    })

    promise('that wait on one link are bounded', async (stage) => {
      const client = await stage.connect()
      for (let i = 0; i < LIMITS.readsPerLink; i++) client.claim(1, { wait: true }).catch(() => {})

      await expect(client.claim(1, { wait: true })).rejects.toMatchObject({ code: 'busy' })
    })

    promise('of jobs that nobody named a publisher for: each is another job, also after a restart', async (stage) => {
      const client = await stage.connect()
      const unnamed = { after: 0, first: 1 }

      expect(await client.enqueueAs(unnamed, ['a'])).toEqual([{ fate: 'stored', first: 1, count: 1, offset: 1 }])
      await stage.restart()
      const back = await stage.connect()
      expect(await back.enqueueAs(unnamed, ['a'])).toEqual([{ fate: 'stored', first: 1, count: 1, offset: 2 }])
      expect((await back.claim(2)).messages).toEqual(['a', 'a'])
    })
  })
}
