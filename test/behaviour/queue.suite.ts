import { describe, expect, it } from 'vitest'
import { placeOf } from '../../packages/sdk/src/broker/keys.ts'
import { RIGHTS } from '../../packages/sdk/src/broker/rights.ts'
import type { JobOptions } from '../../packages/sdk/src/protocol/frames/queue.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import type { QueueStores } from '../../packages/sdk/src/store/queue-store.suite.ts'
import { leaseOf, type QueueClient, type Taken } from '../support/queue-client.ts'
import { groupsSuite } from './queue-groups.suite.ts'
import { manageSuite } from './queue-manage.suite.ts'
import { ANA, QueueStage } from './queue-stage.ts'
import { workersSuite } from './queue-workers.suite.ts'
import { schedulePromises } from './schedules.suite.ts'

const TIMEOUT_MS = 30_000
const GRACE_MS = LIMITS.workerGraceMs
const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i)

/** Resolves once they were given so many jobs together: a store may answer later than it is asked. */
async function given(clients: readonly QueueClient[], count: number): Promise<void> {
  const reached = (): boolean => clients.reduce((sum, { taken }) => sum + taken.length, 0) >= count
  await Promise.race(clients.map((client) => client.until(reached)))
}

/**
 * What every home of a queue does, whatever keeps its rows. Told in frames, since that is all that a client sees of a home.
 */
export function queueSuite(name: string, stores: QueueStores): void {
  const { within = (test: () => Promise<void>) => test() } = stores
  const promise = (sentence: string, test: (stage: QueueStage) => Promise<void>) =>
    it(sentence, { timeout: TIMEOUT_MS }, () => within(async () => test(await QueueStage.open(stores))))

  describe(`${name}: a home of a queue`, () => {
    describe('enqueueing', () => {
      promise('gives each job an id, which counts from 1', async (stage) => {
        const client = await stage.connect()

        expect(await client.enqueue(['a', 'b'])).toEqual([{ fate: 'stored', first: 1, count: 2, offset: 1 }])
        expect(await client.enqueue(['c'])).toEqual([{ fate: 'stored', first: 3, count: 1, offset: 3 }])
      })

      promise('answers when the jobs are durable, and not before', async (stage) => {
        const client = await stage.connect()
        stage.commits.hold()

        const asked = client.enqueue(['a'])
        await stage.commits.reached()

        expect(client.frames.filter(({ id }) => id === 2)).toEqual([])
        stage.commits.release()
        expect(await asked).toHaveLength(1)
      })

      promise('counts what is asked of jobs into what may wait to become durable', async (stage) => {
        const [client, other] = [await stage.connect(), await stage.connect()]
        const nonRetryable = upTo(LIMITS.nonRetryableErrors).map(() => '\0'.repeat(LIMITS.errorNameChars))
        stage.commits.hold()
        const asked = [client.enqueue(['in flight'])]
        await stage.commits.reached()
        asked.push(client.enqueue(upTo(LIMITS.messagesPerFrame), { nonRetryable }))

        await expect(other.enqueue(['a'])).rejects.toMatchObject({ code: 'busy' })
        stage.commits.release()
        await Promise.all(asked)
      })

      promise('recognises a repeat, also of what is done, and after a restart', async (stage) => {
        const frame = { publisher: 'publisher_of_test', after: 0, first: 1 }
        const client = await stage.connect()
        await client.enqueueAs(frame, ['a', 'b'])
        const { written } = stage
        const before = written.length

        const repeat = { fate: 'duplicate', first: 1, count: 2, offset: 1 }
        expect(await client.enqueueAs(frame, ['a', 'b'])).toEqual([repeat])
        expect(written).toHaveLength(before)
        await client.work(2)
        await client.settle({ ack: (await client.gets(2)).map(leaseOf) })
        await stage.restart()

        expect(await (await stage.connect()).enqueueAs(frame, ['a', 'b'])).toEqual([repeat])
      })

      promise('refuses one job of which too much is asked, and takes those before it', async (stage) => {
        const client = await stage.connect()
        const wrong = { attempts: 0 }

        expect(await client.enqueue(['a', 'b', 'c', 'd'], {}, [{ priority: 9 }, null, wrong, wrong])).toMatchObject([
          { fate: 'stored', first: 1, count: 2, offset: 1 },
          { fate: 'refused', first: 3, count: 1, code: 'bad_params', message: 'each.2.attempts: out of its bounds' },
          { fate: 'unsent', first: 4, count: 1 },
        ])
        expect(await client.counts()).toMatchObject({ ready: 2 })
        await expect(client.enqueueAs({ after: 0, first: 1, options: wrong }, ['e'])).rejects.toMatchObject({
          code: 'bad_params',
        })
      })

      promise('notices what is missing before a job', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a'])

        const late = client.enqueueAs({ publisher: 'publisher_client0', after: 5, first: 6 }, ['f'])

        await expect(late).rejects.toMatchObject({ code: 'sequence_gap' })
      })

      promise('refuses one payload that cannot be stored, and takes those before it', async (stage) => {
        const client = await stage.connect()

        const fates = await client.enqueue(['a', '\ud800', 'c'])

        expect(fates.map(({ fate, count }) => [fate, count])).toEqual([
          ['stored', 1],
          ['refused', 1],
          ['unsent', 1],
        ])
      })

      promise('never gives an id twice, also when every job is gone', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a', 'b', 'c'])
        await client.ask('cancel', { ids: [1, 2, 3] })
        await stage.restart()

        const [fate] = await (await stage.connect({ name: 'other' })).enqueue(['d'])

        expect(fate?.offset).toBe(4)
      })
    })

    describe('taking jobs', () => {
      promise('gives out the oldest first, as many as a worker wants to hold', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a', 'b', 'c'])

        await client.work(2)
        const taken = [...(await client.gets(2))]

        expect(taken.map(({ data, attempt }) => [data, attempt])).toEqual([
          ['a', 1],
          ['b', 1],
        ])
        await client.settle({ ack: [leaseOf(taken[0] as Taken)] })
        expect((await client.gets(3)).at(-1)).toMatchObject({ data: 'c' })
      })

      promise('leases a job that comes while a worker has room in the commit that stores it', async (stage) => {
        const client = await stage.connect()
        await client.work(10)
        // Who is given the least urgent of all has asked the store for everything else.
        await client.enqueue(['first'], { priority: 0 })
        await client.settle({ ack: (await client.gets(1)).map(leaseOf) })
        const { written } = stage
        written.length = 0

        await client.enqueue(['a', 'b'])
        await client.gets(3)

        expect(written).toHaveLength(1)
        expect(written[0]).toMatchObject({ put: [{ id: 2 }, { id: 3 }], facts: [['lease:0', expect.any(String)]] })
      })

      promise('gives nobody a job whose lease is not durable', async (stage) => {
        const client = await stage.connect()
        await client.work(10)
        stage.commits.hold()

        const enqueued = client.enqueue(['a'])
        await stage.commits.reached()

        expect(client.taken).toEqual([])
        stage.commits.release()
        await enqueued
        await client.gets(1)
      })

      promise('has the higher priority go first', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['low', 'high', 'usual'], {}, [{ priority: 0 }, { priority: 9 }, null])

        await client.work(3)

        expect((await client.gets(3)).map(({ data }) => data)).toEqual(['high', 'usual', 'low'])
      })

      promise(
        'counts a delay and a life from when a job was asked for, by the clock that says when it was sent',
        async (stage) => {
          const client = await stage.connect()
          const asked = { askedAt: 5_000, delayMs: 60_000 }
          const frame = { publisher: 'publisher_away', sentAt: 45_000 }
          await client.enqueueAs({ ...frame, after: 0, first: 1, options: asked }, ['waited 40 s'])
          await client.enqueueAs({ ...frame, after: 1, first: 2, options: { ...asked, delayMs: 1_000 } }, ['is due'])
          await client.enqueueAs({ ...frame, after: 2, first: 3, options: { askedAt: 5_000, ttlMs: 30_000 } }, [
            'too late',
          ])
          // A clock that was put back meanwhile.
          await client.enqueueAs({ ...frame, after: 3, first: 4, options: { ...asked, askedAt: 50_000 } }, ['waits'])

          await client.work(10, { leaseMs: 600_000 })
          await client.gets(1)
          stage.pass(20_000)
          await client.gets(2)
          stage.pass(39_999)
          expect(await client.counts()).toMatchObject({ active: 2, scheduled: 1, dead: 1 })
          stage.pass(1)
          await client.gets(3)

          expect(client.taken.map(({ data }) => data)).toEqual(['is due', 'waited 40 s', 'waits'])
        },
      )

      promise('keeps a delayed job until its time, and says when to be woken', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['later'], { delayMs: 5_000 })
        await client.enqueue(['at'], { runAt: stage.nowMs + 3_000 })
        await client.enqueue(['now'])
        await client.work(10)
        await client.gets(1)

        expect(client.ids).toEqual([3])
        expect(stage.wakes.at(-1)).toBe(stage.nowMs + 3_000)
        stage.pass(3_000)
        await client.gets(2)
        stage.pass(2_000)
        await client.gets(3)

        expect(client.ids).toEqual([3, 2, 1])
      })

      promise('spreads jobs over the workers that have room', async (stage) => {
        const [a, b] = [await stage.connect(), await stage.connect()]
        await a.work(10)
        await b.work(10)

        await a.enqueue(upTo(10))
        await Promise.all([a.gets(5), b.gets(5)])

        expect([...a.ids, ...b.ids].toSorted((x, y) => x - y)).toEqual(upTo(10))
      })

      promise('gives no job to a worker that wants none any more', async (stage) => {
        const client = await stage.connect()
        await client.work(5)
        await client.work(0)

        await client.enqueue(['a'])

        expect(await client.counts()).toMatchObject({ ready: 1, active: 0 })
      })

      promise('buries a job that was not begun in its time', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['old'], { ttlMs: 1_000 })
        stage.pass(1_000)

        await client.work(1)
        await client.enqueue(['new'])
        await client.gets(1)

        expect(client.taken).toMatchObject([{ data: 'new' }])
        expect((await client.list('dead')).jobs).toMatchObject([{ id: 1, error: 'expired' }])
      })

      promise('remembers a job that was too old when it came, also after a restart', async (stage) => {
        const client = await stage.connect()
        await client.work(1)
        // The first job has everything asked of the store.
        await client.enqueue(['first'])
        await client.settle({ ack: (await client.gets(1)).map(leaseOf) })
        const late = { publisher: 'publisher_late', after: 0, first: 1, options: { ttlMs: 0 } }
        const [{ offset = 0 } = {}] = await client.enqueueAs(late, ['old'])
        await stage.restart()

        const other = await stage.connect({ name: 'other' })
        expect(await other.enqueueAs(late, ['old'])).toMatchObject([{ fate: 'duplicate', offset }])
        expect(await other.enqueue(['next'])).toMatchObject([{ offset: offset + 1 }])
        expect((await other.list('dead')).jobs).toMatchObject([{ id: offset, error: 'expired' }])
      })

      promise('goes through a backlog that is longer than what it keeps at hand', async (stage) => {
        const client = await stage.connect()
        const count = 2 * LIMITS.laneJobs + 500
        for (let first = 1; first <= count; first += 500) await client.enqueue(upTo(500, first))

        await client.work(500)
        for (let done = 0; done < count; done += 500) {
          const taken = (await client.gets(done + 500)).slice(done)
          await client.settle({ ack: taken.map(leaseOf) })
        }

        expect(client.ids).toEqual(upTo(count))
        expect(await client.counts()).toMatchObject({ ready: 0, active: 0 })
      })
    })

    describe('keys', () => {
      const key = 'invoice 7'
      const drop = { dedupe: { key, mode: 'drop' } } as const
      const replace = { dedupe: { key, mode: 'replace' } } as const
      const debounce = { dedupe: { key, mode: 'debounce', maxDelayMs: 10_000 }, delayMs: 3_000 } as const
      const dropped = (first: number, offset: number) => [{ fate: 'redundant', first, count: 1, offset }]
      const stored = (first: number, offset: number) => [{ fate: 'stored', first, count: 1, offset }]
      const replaced = (first: number, offset: number) => [{ fate: 'updated', first, count: 1, offset }]
      const duplicate = (first: number, offset: number) => [{ fate: 'duplicate', first, count: 1, offset }]
      const holding = async (stage: QueueStage, options: JobOptions): Promise<readonly [QueueClient, Taken]> => {
        const client = await stage.connect()
        await client.enqueue(['a'], options)
        await client.work(1)
        const [job] = await client.gets(1)
        await client.work(0)
        return [client, job as Taken]
      }

      promise('drop: a job whose key another one has is not stored, and the id of that is told', async (stage) => {
        const [client, other] = [await stage.connect(), await stage.connect()]

        expect(await client.enqueue(['a'], drop)).toEqual(stored(1, 1))
        expect(await client.enqueue(['b'], drop)).toEqual(dropped(2, 1))
        expect(await other.enqueue(['c'], drop)).toEqual(dropped(1, 1))
        expect(await client.enqueue(['d'], { dedupe: { ...drop.dedupe, key: 'invoice 8' } })).toEqual(stored(3, 2))

        expect((await client.list('ready')).messages).toEqual(['a', 'd'])
      })

      promise('drop: also while it is held, waits for another attempt, and after a restart', async (stage) => {
        const [client, job] = await holding(stage, drop)
        expect(await client.enqueue(['b'], drop)).toEqual(dropped(2, 1))

        await client.settle({ retry: [{ lease: leaseOf(job), error: '', delayMs: 1_000 }] })
        expect(await client.enqueue(['b'], drop)).toEqual(dropped(3, 1))
        await stage.restart()

        expect(await (await stage.connect({ name: 'other' })).enqueue(['b'], drop)).toEqual(dropped(1, 1))
      })

      promise('drop: not any more when it is done, dead or cancelled', async (stage) => {
        const [client, job] = await holding(stage, drop)
        await client.settle({ ack: [leaseOf(job)] })
        expect(await client.enqueue(['b'], drop)).toEqual(stored(2, 2))

        await client.ask('cancel', { ids: [2] })
        expect(await client.enqueue(['c'], drop)).toEqual(stored(3, 3))

        await client.work(1)
        const taken = (await client.gets(2)).at(-1) as Taken
        await client.settle({ retry: [{ lease: leaseOf(taken), error: '', dead: true }] })
        expect(await client.enqueue(['d'], drop)).toEqual(stored(4, 4))
      })

      promise('drop: with a time until that has passed, and until it is done', async (stage) => {
        const timed = { dedupe: { ...drop.dedupe, ttlMs: 5_000 } } as const
        const [client, job] = await holding(stage, timed)
        await client.settle({ ack: [leaseOf(job)] })
        await stage.hibernate()
        stage.pass(4_999)
        expect(await client.enqueue(['b'], timed)).toEqual(dropped(2, 1))
        stage.pass(1)

        expect(await client.enqueue(['c'], timed)).toEqual(stored(3, 2))
        stage.pass(5_000)
        expect(await client.enqueue(['d'], timed)).toEqual(dropped(4, 2))
      })

      promise('drop: a dead one is not driven again while another one has its key', async (stage) => {
        const [client, job] = await holding(stage, drop)
        await client.settle({ retry: [{ lease: leaseOf(job), error: '', dead: true }] })
        await client.enqueue(['b'], drop)

        expect(await client.ask('redrive', {})).toEqual({ redriven: 0, more: false })
        await client.ask('cancel', { ids: [2] })
        expect(await client.ask('redrive', { ids: [1] })).toMatchObject({ redriven: 1 })

        expect(await client.enqueue(['c'], drop)).toEqual(dropped(3, 1))
      })

      promise('drop: leaves no trace, so nothing is missing after a restart', async (stage) => {
        const client = await stage.connect()
        const publisher = 'publisher_of_test'
        await client.enqueueAs({ publisher, after: 0, first: 1, options: drop }, ['a'])
        await client.enqueueAs({ publisher, after: 1, first: 2, options: drop }, ['b'])
        // Sent before the answer came.
        expect(await client.enqueueAs({ publisher, after: 2, first: 3 }, ['c'])).toEqual(stored(3, 2))
        await client.enqueueAs({ publisher, after: 3, first: 4, options: drop }, ['d'])
        await stage.restart()
        const other = await stage.connect()

        expect(await other.enqueueAs({ publisher, after: 3, first: 5 }, ['e'])).toEqual(stored(5, 3))
      })

      promise('replace: the one that waits begins anew with another payload, in its place', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['old'], replace)
        await client.enqueue(['other'])

        expect(await client.enqueue(['new'], { ...replace, attempts: 1 })).toEqual(replaced(3, 1))
        await stage.restart()
        const worker = await stage.connect({ name: 'worker' })
        await worker.work(2)
        const [job] = await worker.gets(2)
        await worker.settle({ retry: [{ lease: leaseOf(job as Taken), error: '' }] })

        expect(worker.taken.map(({ id, data }) => [id, data])).toEqual([
          [1, 'new'],
          [2, 'other'],
        ])
        expect((await worker.list('dead')).jobs).toMatchObject([{ id: 1 }])
      })

      promise('replace: finds a job that is not at hand, and one that waits for another attempt', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(upTo(2 * LIMITS.laneJobs + 1).slice(0, 1_000))
        await client.enqueue(upTo(1_000))
        await client.enqueue([1])
        await client.enqueue(['behind'], replace)
        await stage.hibernate()

        expect(await client.enqueue(['newer'], replace)).toEqual(replaced(2_003, 2_002))
        await client.enqueue(['first'], { priority: 9, dedupe: { key: 'failing', mode: 'replace' } })
        await client.work(1)
        const [job] = (await client.gets(1)) as [Taken]
        await client.work(0)
        await client.settle({ retry: [{ lease: leaseOf(job), error: '', delayMs: 60_000 }] })
        await stage.hibernate()
        const again = { priority: 9, dedupe: { key: 'failing', mode: 'replace' } } as const
        expect(await client.enqueue(['second'], again)).toEqual(replaced(2_005, job.id))
        await client.work(1)

        expect((await client.gets(2)).at(-1)).toMatchObject({ id: job.id, data: 'second', attempt: 1 })
      })

      promise('replace: one that is held is left alone, and the new one waits behind it', async (stage) => {
        const [client, job] = await holding(stage, replace)

        expect(await client.enqueue(['b'], replace)).toEqual(stored(2, 2))
        expect(await client.enqueue(['c'], replace)).toEqual(replaced(3, 2))
        await client.settle({ ack: [leaseOf(job)] })
        expect(await client.enqueue(['d'], replace)).toEqual(replaced(4, 2))
        await client.work(1)

        expect((await client.gets(2)).map(({ data }) => data)).toEqual(['a', 'd'])
      })

      promise('replace: what has to be begun within a time has all of it', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a'], { ...replace, ttlMs: 1_000 })
        stage.pass(900)
        await client.enqueue(['b'], { ...replace, ttlMs: 1_000 })
        await stage.hibernate()
        stage.pass(999)
        await client.work(1)

        expect(await client.gets(1)).toMatchObject([{ id: 1, data: 'b' }])
      })

      promise('replace: a lease that was lost is too late for another payload', async (stage) => {
        const [client, job] = await holding(stage, replace)
        stage.pass(60_000)
        await client.enqueue(['b'], replace)

        expect(await client.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [leaseOf(job)] })
        expect((await client.list('ready')).messages).toEqual(['b'])
      })

      promise('replace: a lease of the payload before counts no more', async (stage) => {
        const [client, job] = await holding(stage, replace)
        await client.settle({ release: [leaseOf(job)] })
        await client.enqueue(['b'], replace)
        await stage.hibernate()

        expect(await client.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [leaseOf(job)] })
        expect((await client.list('ready')).messages).toEqual(['b'])
      })

      promise('replace: is recognised as a repeat after a restart', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a'], replace)
        const frame = { publisher: 'publisher_of_test', after: 0, first: 1, options: replace }
        await client.enqueueAs(frame, ['b'])
        await client.enqueueAs({ publisher: 'publisher_other', after: 0, first: 1, options: replace }, ['c'])
        await stage.restart()

        expect(await (await stage.connect()).enqueueAs(frame, ['b'])).toEqual(duplicate(1, 1))
        expect((await (await stage.connect()).list('ready')).messages).toEqual(['c'])
      })

      promise('debounce: each repeat puts the job off, up to a time', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['1'], debounce)
        const at = stage.nowMs
        const dues: number[] = []
        for (const n of upTo(4, 2)) {
          stage.pass(2_000)
          await client.enqueue([`${n}`], debounce)
          dues.push(((await client.list('scheduled')).jobs[0]?.dueAt ?? 0) - at)
        }

        expect(dues).toEqual([5_000, 7_000, 9_000, 10_000])
        await client.work(1)
        stage.pass(2_000)
        expect(await client.gets(1)).toMatchObject([{ id: 1, data: '5' }])
      })

      promise('in one frame are taken in its order', async (stage) => {
        const client = await stage.connect()

        const fates = await client.enqueue(['a', 'b', 'c', 'd', 'e'], {}, [
          null,
          drop,
          drop,
          replace,
          { dedupe: { key: 'other', mode: 'drop' } },
        ])

        expect(fates).toEqual([
          { fate: 'stored', first: 1, count: 2, offset: 1 },
          ...dropped(3, 2),
          ...replaced(4, 2),
          ...stored(5, 3),
        ])
        expect((await client.list('ready')).messages).toEqual(['a', 'd', 'e'])
      })

      promise('in one frame do not hide from whom the newest job came', async (stage) => {
        const client = await stage.connect()
        const publisher = 'publisher_of_test'
        await client.enqueue(['a'], replace)
        await client.enqueueAs({ publisher, after: 0, first: 1, each: [null, replace] }, ['b', 'c'])
        await stage.restart()

        const [fate] = await (await stage.connect()).enqueueAs({ publisher, after: 2, first: 3 }, ['d'])

        expect(fate).toMatchObject({ fate: 'stored', first: 3 })
      })

      promise('replace: more than one job that is not at hand, in one frame', async (stage) => {
        const client = await stage.connect()
        const keys = upTo(3).map((n) => ({ dedupe: { key: `${n}`, mode: 'replace' as const } }))
        await client.enqueue(upTo(3), {}, keys)
        await stage.hibernate()

        const fates = await client.enqueue(['a', 'b', 'c'], {}, keys)

        expect(fates.map(({ fate, offset }) => [fate, offset])).toEqual(upTo(3).map((id) => ['updated', id]))
        expect((await client.list('ready')).messages).toEqual(['a', 'b', 'c'])
      })

      promise('replace: a job that is at hand until what comes before it in the frame is stored', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['running'])
        await client.work(1)
        await client.gets(1)
        const large = 'x'.repeat(240_000)
        for (let i = 0; i < 2; i++) await client.enqueue([large, large, large, large])
        await client.enqueue(['a'], replace)

        expect(await client.enqueue([large, 'b'], {}, [null, replace])).toEqual([
          ...stored(11, 11),
          ...replaced(12, 10),
        ])
        await client.work(20)
        expect((await client.gets(11)).map(({ data }) => data).filter((data) => data !== large)).toEqual([
          'running',
          'b',
        ])
      })

      promise('hold up what their publisher enqueues behind them, and nothing else', async (stage) => {
        const client = await stage.connect()
        const publisher = 'publisher_of_test'
        stage.commits.hold()
        const before = client.enqueue(['a'])
        await stage.commits.reached()

        const other = client.enqueue(['b'])
        const keyed = client.enqueueAs({ publisher, after: 0, first: 1, options: drop }, ['c'])
        const behind = client.enqueueAs({ publisher, after: 1, first: 2 }, ['d'])
        const last = client.enqueue(['e'])
        stage.commits.release()

        expect(await Promise.all([before, other, keyed, behind, last])).toEqual([
          stored(1, 1),
          stored(2, 2),
          stored(1, 4),
          stored(2, 5),
          stored(3, 3),
        ])
      })

      promise('hold up nobody else who names no publisher', async (stage) => {
        const [one, other] = [await stage.connect(), await stage.connect()]
        const unnamed = { after: 0, first: 1 }
        stage.commits.hold()
        const before = one.enqueueAs(unnamed, ['a'])
        await stage.commits.reached()

        const next = one.enqueueAs(unnamed, ['b'])
        const keyed = one.enqueueAs({ ...unnamed, options: drop }, ['c'])
        const free = other.enqueueAs(unnamed, ['d'])
        stage.commits.release()

        expect(await Promise.all([before, next, keyed, free])).toEqual([1, 2, 4, 3].map((id) => stored(1, id)))
      })

      promise('of one link that wait for an answer have a bound', async (stage) => {
        const client = await stage.connect()
        stage.commits.hold()
        const asked = [client.enqueue(['a'])]
        await stage.commits.reached()
        asked.push(client.enqueue(['b']))
        const send = (n: number) =>
          client.enqueueAs({ publisher: `publisher_${n}`, after: 0, first: 1, options: drop }, ['b'])
        asked.push(...upTo(LIMITS.readsPerLink).map(send))

        await expect(send(99)).rejects.toMatchObject({ code: 'busy' })

        stage.commits.release()
        await Promise.all(asked)
      })

      promise('are no jobs: what would be done to one by the id of its row is done to none', async (stage) => {
        const user = { key: 'issuer user', user: 'user', rights: RIGHTS.enqueue }
        const [client, manager] = [await stage.connect({ identity: user }), await stage.connect()]
        await client.enqueue(['a'], drop)
        const ids = [placeOf(key).id]

        expect(await client.ask('cancel', { ids })).toEqual({ cancelled: 0 })
        expect(await client.watch(...ids)).toMatchObject([{ state: 'unknown' }])
        expect(await manager.ask('cancel', { ids })).toEqual({ cancelled: 0 })
        expect(await manager.ask('redrive', { ids })).toMatchObject({ redriven: 0 })
        expect(await manager.ask('promote', { ids })).toEqual({ promoted: 0 })
      })

      promise('are bounded, and must be text', async (stage) => {
        const client = await stage.connect()
        for (const dedupe of [
          { key: '' },
          { key: 'x'.repeat(257) },
          { key: '\ud800' },
          { key: 7 },
          { key, mode: 'keep' },
        ])
          await expect(client.enqueue(['a'], { dedupe: { mode: 'drop', ...dedupe } } as never)).rejects.toMatchObject({
            code: 'bad_params',
          })
      })

      promise('cost one row with the job and one at its end; what is dropped costs none', async (stage) => {
        const client = await stage.connect()
        const rowsOf = async (work: () => Promise<unknown>): Promise<number> => {
          const before = stage.rows
          await work()
          return stage.rows - before
        }
        const end = async (): Promise<void> => {
          const count = client.taken.length + 1
          await client.work(1)
          const job = (await client.gets(count)).at(-1) as Taken
          await client.work(0)
          await client.settle({ ack: [leaseOf(job)] })
        }

        expect(await rowsOf(() => client.enqueue(['a'], drop))).toBe(2)
        expect(await rowsOf(() => client.enqueue(['b'], drop))).toBe(0)
        // The lease, and twice one that is removed.
        expect(await rowsOf(end)).toBe(3)
        expect(await rowsOf(() => client.enqueue(['a'], replace))).toBe(2)
        // Payload, key, and the mark of who sent it.
        expect(await rowsOf(() => client.enqueue(['b'], replace))).toBe(3)
        expect(await rowsOf(end)).toBe(3)
      })
    })

    describe('what becomes of a job', () => {
      const holding = async (stage: QueueStage, options = {}): Promise<readonly [QueueClient, Taken]> => {
        const client = await stage.connect()
        await client.enqueue(['a'], options)
        await client.work(1)
        const [job] = await client.gets(1)
        return [client, job as Taken]
      }

      promise('acked, it is gone for good', async (stage) => {
        const [client, job] = await holding(stage)

        expect(await client.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [] })
        await stage.restart()
        const other = await stage.connect()
        await other.work(1)

        expect(await other.counts()).toMatchObject({ ready: 0, active: 0, retrying: 0, dead: 0 })
      })

      promise('an ack counts once', async (stage) => {
        const [client, job] = await holding(stage)
        await client.settle({ ack: [leaseOf(job)] })

        expect(await client.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [leaseOf(job)] })
      })

      promise('is answered as acked only when that is durable', async (stage) => {
        const [client, job] = await holding(stage)
        stage.commits.hold()

        const settled = client.settle({ ack: [leaseOf(job)] })
        await stage.commits.reached()
        await stage.restart()
        stage.commits.release()

        await expect(Promise.race([settled, Promise.resolve('open')])).resolves.toBe('open')
      })

      promise('failed, it is tried again after a while that grows', async (stage) => {
        const backoff = { type: 'exponential', initialMs: 1_000, factor: 3, maxMs: 5_000, jitter: 0 } as const
        const [client] = await holding(stage, { attempts: 4, backoff })

        for (const [attempt, delayMs] of [
          [1, 1_000],
          [2, 3_000],
          [3, 5_000],
        ] as const) {
          const job = client.taken.at(-1) as Taken
          expect(job.attempt).toBe(attempt)
          await client.settle({ retry: [{ lease: leaseOf(job), error: `failed ${attempt}` }] })
          stage.pass(delayMs - 1)
          expect(await client.counts()).toMatchObject({ retrying: 1, active: 0 })
          stage.pass(1)
          await client.gets(attempt + 1)
        }
        await client.settle({ retry: [{ lease: leaseOf(client.taken.at(-1) as Taken), error: 'failed 4' }] })

        expect((await client.list('dead')).jobs).toMatchObject([{ id: 1, attempt: 4, error: 'failed 4' }])
      })

      promise('failed very often, it is tried again without a wait, if that is what was asked for', async (stage) => {
        const backoff = { type: 'exponential', initialMs: 0, factor: 100, maxMs: 1_000, jitter: 0 } as const
        const [client] = await holding(stage, { attempts: LIMITS.jobAttempts, backoff })

        // 100 to this power is more than a number can be.
        for (const attempt of upTo(160)) {
          const job = (await client.gets(attempt)).at(-1) as Taken
          await client.settle({ retry: [{ lease: leaseOf(job), error: '' }] })
        }
        expect((await client.gets(161)).at(-1)).toMatchObject({ id: 1, attempt: 161 })
      })

      promise('failed, chance shortens its wait', async (stage) => {
        const backoff = { type: 'fixed', initialMs: 1_000, factor: 1, maxMs: 1_000, jitter: 1 } as const
        const [client, job] = await holding(stage, { backoff })
        await client.enqueue(['b', 'c'], { backoff })
        await client.work(3)
        await client.gets(3)

        const failed = [job, ...client.taken.slice(1)]
        await client.settle({ retry: failed.map((one) => ({ lease: leaseOf(one), error: '' })) })

        const waits = (await client.list('retrying')).jobs.map(({ dueAt }) => dueAt - stage.nowMs)
        expect(new Set(waits).size).toBe(3)
        expect(waits.every((ms) => ms >= 0 && ms <= 1_000)).toBe(true)
      })

      promise('failed with an error that its options name, it is dead at once', async (stage) => {
        const [client, job] = await holding(stage, { nonRetryable: ['RangeError'] })
        await client.settle({ retry: [{ lease: leaseOf(job), error: 'TypeError: RangeError', delayMs: 0 }] })
        const again = (await client.gets(2)).at(-1) as Taken

        await client.settle({ retry: [{ lease: leaseOf(again), error: 'RangeError: 7', delayMs: 0 }] })

        expect((await client.list('dead')).jobs).toMatchObject([{ id: 1, attempt: 2, error: 'RangeError: 7' }])
      })

      promise('failed for good, it is dead at once', async (stage) => {
        const [client, job] = await holding(stage)

        await client.settle({ retry: [{ lease: leaseOf(job), error: 'no such address', dead: true }] })

        const { jobs, messages } = await client.list('dead')
        expect([jobs, messages]).toMatchObject([[{ id: 1, error: 'no such address' }], ['a']])
      })

      promise('dead, it can be driven again, with all its attempts', async (stage) => {
        const [client, job] = await holding(stage, { attempts: 1 })
        await client.settle({ retry: [{ lease: leaseOf(job), error: '' }] })
        await stage.restart()
        const other = await stage.connect()

        expect(await other.ask('redrive', {})).toEqual({ redriven: 1, more: false })
        expect(await other.ask('redrive', {})).toEqual({ redriven: 0, more: false })
        await other.work(1)

        expect(await other.gets(1)).toMatchObject([{ id: 1, data: 'a', attempt: 1 }])
      })

      promise('dead for its age, it is begun when it is driven again', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['old'], { ttlMs: 1_000 })
        stage.pass(1_000)
        await client.work(2)
        await client.enqueue(['new'])
        await client.gets(1)
        expect(await client.counts()).toMatchObject({ dead: 1 })

        await client.ask('redrive', { ids: [1] })

        expect((await client.gets(2)).at(-1)).toMatchObject({ id: 1, attempt: 1 })
      })

      promise('released, it goes back to its place, as if nobody had had it', async (stage) => {
        const [client, job] = await holding(stage)
        await client.enqueue(['b'])
        await client.work(0)

        await client.settle({ release: [leaseOf(job)] })
        await client.work(2)
        await client.gets(3)

        expect(client.taken.slice(1)).toMatchObject([
          { id: 1, attempt: 1 },
          { id: 2, attempt: 1 },
        ])
      })

      promise('snoozed, it comes back later and has used no attempt', async (stage) => {
        const [client, job] = await holding(stage)

        await client.settle({ snooze: [{ lease: leaseOf(job), ms: 9_000 }] })
        expect(await client.counts()).toMatchObject({ scheduled: 1 })
        stage.pass(9_000)

        expect((await client.gets(2)).at(-1)).toMatchObject({ id: 1, attempt: 1 })
      })

      promise('cancelled while it waits, it is gone; while it runs, its worker is told', async (stage) => {
        const [client, job] = await holding(stage)
        await client.enqueue(['b'])

        expect(await client.ask('cancel', { ids: [1, 2, 99] })).toEqual({ cancelled: 2 })

        expect(client.lost).toMatchObject([{ leases: [leaseOf(job)], reason: 'cancelled' }])
        expect(await client.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [leaseOf(job)] })
        expect(await client.counts()).toMatchObject({ ready: 0, active: 0 })
      })
    })

    describe('results', () => {
      const HOUR_MS = LIMITS.sweepMs
      const retain = { retain: { ms: 2 * HOUR_MS } }
      const holding = async (stage: QueueStage, options: JobOptions = {}): Promise<readonly [QueueClient, Taken]> => {
        const client = await stage.connect()
        await client.enqueue(['a'], options)
        await client.work(1)
        const [job] = await client.gets(1)
        await client.work(0)
        return [client, job as Taken]
      }

      promise('are told to who watches, when the end of the job is durable', async (stage) => {
        const [client, job] = await holding(stage)
        const watcher = await stage.connect()
        expect(await watcher.watch(1)).toEqual([{ id: 1, state: 'waiting' }])
        stage.commits.hold()

        const finished = client.finish([leaseOf(job)], [{ sum: 7 }])
        await stage.commits.reached()
        expect(watcher.told).toEqual([])
        stage.commits.release()
        await finished
        await watcher.until(() => watcher.told.length > 0)

        expect(watcher.told).toEqual([{ method: 'ended', id: 1, state: 'completed', result: '{"sum":7}' }])
      })

      promise('are known for a while without being retained, and not after a restart', async (stage) => {
        const [client, job] = await holding(stage)
        await client.finish([leaseOf(job)], [7])

        expect(await client.watch(1)).toEqual([{ id: 1, state: 'completed', result: '7' }])
        await stage.hibernate()

        expect(await client.watch(1)).toEqual([{ id: 1, state: 'unknown' }])
      })

      promise('are known for a shorter while where there is much to remember, errors included', async (stage) => {
        const client = await stage.connect()
        const count = 1_050
        for (const ids of [upTo(550), upTo(500, 551)]) {
          await client.enqueue(ids)
          await client.ask('cancel', { ids, reason: 'x'.repeat(LIMITS.jobErrorChars) })
        }

        expect(await client.watch(1, count)).toMatchObject([{ state: 'unknown' }, { state: 'cancelled' }])
      })

      promise('are kept as long as it was asked for, which a restart does not change', async (stage) => {
        const [client, job] = await holding(stage, retain)
        await client.finish([leaseOf(job)], [7])
        await stage.hibernate()
        stage.pass(2 * HOUR_MS - 1)

        expect(await client.watch(1)).toEqual([{ id: 1, state: 'completed', result: '7' }])
        expect(await client.counts()).toMatchObject({ completed: 1, ready: 0, active: 0 })
        const { jobs, messages } = await client.list('completed')
        expect([jobs, messages]).toMatchObject([[{ id: 1, result: '7' }], ['a']])
        await stage.hibernate()
        stage.pass(HOUR_MS + 1)

        expect(await client.watch(1)).toEqual([{ id: 1, state: 'unknown' }])
        expect(await client.counts()).toMatchObject({ completed: 0 })
      })

      promise('say also how else a job has ended', async (stage) => {
        const [client, job] = await holding(stage, { attempts: 1 })
        await client.enqueue(['b'])
        await client.enqueue(['c'], { ttlMs: 1 })
        await client.watch(1, 2, 3)
        await client.settle({ retry: [{ lease: leaseOf(job), error: 'TypeError: no' }] })
        await client.ask('cancel', { ids: [2], reason: 'not needed' })
        stage.pass(1)
        await client.work(1)
        await client.until(() => client.told.length === 3)

        const told = [
          { id: 1, state: 'dead', error: 'TypeError: no' },
          { id: 2, state: 'cancelled', error: 'not needed' },
          { id: 3, state: 'dead', error: 'expired' },
        ]
        expect(client.told).toEqual(told.map((one) => ({ method: 'ended', ...one })))
        expect(await client.watch(1, 2, 3)).toEqual(told)
        await stage.hibernate()
        expect(await client.watch(1, 2, 3, 99)).toEqual([
          told[0],
          { id: 2, state: 'unknown' },
          told[2],
          { id: 99, state: 'unknown' },
        ])
      })

      promise('of a job that goes on while its home sleeps are told all the same', async (stage) => {
        const [client, job] = await holding(stage)
        await client.watch(1)
        await stage.hibernate()

        await client.finish([leaseOf(job)], [7])
        await client.until(() => client.told.length === 2)

        expect(client.told).toEqual([{ method: 'forgot' }, { method: 'ended', id: 1, state: 'completed', result: '7' }])
      })

      promise('of jobs that wait for a time or for another attempt are told, too', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a'], { delayMs: 60_000 })
        await stage.hibernate()

        expect(await client.watch(1)).toEqual([{ id: 1, state: 'waiting' }])
      })

      promise('are told to nobody who has lost the right since they asked', async (stage) => {
        const spy = await stage.connect()
        const [client, job] = await holding(stage)
        await spy.watch(1)
        stage.home.judge(1, { ...ANA, key: 'issuer spy', rights: RIGHTS.view })
        await client.ask('report', { reports: [{ lease: leaseOf(job), progress: '7' }] })
        await client.finish([leaseOf(job)], [7])
        await spy.until(() => spy.told.length > 0)

        expect(spy.told).toEqual([{ method: 'ended', id: 1, state: 'unknown' }])
      })

      promise('of as many jobs as a link may watch can be asked for again', async (stage) => {
        const client = await stage.connect()
        const pages = upTo(LIMITS.watchesPerLink / LIMITS.watchesPerFrame)
        const idsOf = (page: number) => upTo(LIMITS.watchesPerFrame, (page - 1) * LIMITS.watchesPerFrame + 1)
        for (const page of pages) await client.enqueue(idsOf(page))
        for (const page of pages) await client.watch(...idsOf(page))

        expect(await client.watch(...idsOf(pages.length))).toHaveLength(LIMITS.watchesPerFrame)
        await client.enqueue(['one more'])
        await expect(client.watch(LIMITS.watchesPerLink + 1)).rejects.toMatchObject({ code: 'busy' })
      })

      promise('are for who enqueued the job, and for who may see payloads', async (stage) => {
        const as = (key: string, rights: number) => ({ identity: { key, user: key, rights } })
        const owner = await stage.connect(as('issuer owner', RIGHTS.enqueue))
        const other = await stage.connect(as('issuer other', RIGHTS.enqueue))
        const viewer = await stage.connect(as('issuer viewer', RIGHTS.view | RIGHTS.peek))
        const worker = await stage.connect(as('issuer worker', RIGHTS.work))
        await owner.enqueue(['a'])

        expect(await owner.watch(1)).toEqual([{ id: 1, state: 'waiting' }])
        expect(await other.watch(1)).toEqual([{ id: 1, state: 'unknown' }])
        expect(await viewer.watch(1)).toEqual([{ id: 1, state: 'waiting' }])
        await expect(worker.watch(1)).rejects.toMatchObject({ code: 'forbidden' })
        expect(await other.ask('cancel', { ids: [1] })).toEqual({ cancelled: 0 })
        await expect(viewer.ask('cancel', { ids: [1] })).rejects.toMatchObject({ code: 'forbidden' })
        expect(await owner.ask('cancel', { ids: [1] })).toEqual({ cancelled: 1 })
      })

      promise('are for who enqueued the job also where they named no publisher', async (stage) => {
        const as = (key: string) => ({ identity: { key, user: key, rights: RIGHTS.enqueue } })
        const [owner, other] = [await stage.connect(as('issuer owner')), await stage.connect(as('issuer other'))]
        await owner.enqueueAs({ after: 0, first: 1 }, ['a'])
        await stage.hibernate()

        expect(await other.watch(1)).toEqual([{ id: 1, state: 'unknown' }])
        expect(await owner.watch(1)).toEqual([{ id: 1, state: 'waiting' }])
        expect(await other.ask('cancel', { ids: [1] })).toEqual({ cancelled: 0 })
        expect(await owner.ask('cancel', { ids: [1] })).toEqual({ cancelled: 1 })
        expect(await owner.enqueueAs({ after: 0, first: 1 }, ['b'])).toMatchObject([{ fate: 'stored', offset: 2 }])
      })

      promise('a late one counts while nobody else was given the job', async (stage) => {
        const [client, job] = await holding(stage, retain)
        stage.pass(60_000)

        expect(await client.finish([leaseOf(job)], [7])).toEqual({ stale: [] })

        expect(await client.watch(1)).toEqual([{ id: 1, state: 'completed', result: '7' }])
      })

      promise('cost the row of the job, one when it is forgotten, and each commit the count', async (stage) => {
        const [client, job] = await holding(stage, retain)
        const before = stage.rows

        await client.finish([leaseOf(job)], [7])
        expect(stage.rows - before).toBe(2)
        stage.pass(3 * HOUR_MS)
        while ((await client.counts()).completed > 0) await client.settle({})

        expect(stage.rows - before).toBe(4)
      })
    })

    describe('what is kept no longer', () => {
      const DAY_MS = 24 * 3_600_000
      /** It goes on with each commit that is durable. */
      const sweptTo = async (client: QueueClient, dead: number): Promise<void> => {
        while ((await client.counts()).dead > dead) await client.settle({})
        await client.settle({})
      }
      const die = async (client: QueueClient, count: number): Promise<void> => {
        const before = client.taken.length
        await client.enqueue(upTo(count))
        await client.work(1_000)
        const taken = (await client.gets(before + count)).slice(before)
        await client.settle({ retry: taken.map((job) => ({ lease: leaseOf(job), error: '', dead: true })) })
      }

      promise('the dead go after 30 days, piece by piece, and the alarm says so', async (stage) => {
        const client = await stage.connect()
        const start = stage.nowMs
        await die(client, 3)
        stage.pass(DAY_MS)
        await die(client, 700)
        // When their leases would have ended.
        stage.pass(60_000)

        expect(stage.wakes.at(-1)).toBe(start + LIMITS.deadMs)
        stage.nowMs = start
        stage.pass(LIMITS.deadMs)
        await sweptTo(client, 700)
        expect(await client.counts()).toMatchObject({ dead: 700 })
        expect(stage.wakes.at(-1)).toBe(start + LIMITS.deadMs + DAY_MS)
        await stage.hibernate()
        stage.pass(DAY_MS)
        await sweptTo(client, 0)

        expect(stage.written.every(({ remove }) => remove.length <= LIMITS.sweepJobs)).toBe(true)
      })

      promise('no more than 10,000 dead are kept, the newest', async (stage) => {
        const client = await stage.connect()
        for (let count = 0; count < LIMITS.deadJobs + 1_500; count += 500) await die(client, 500)
        stage.pass(LIMITS.deadMs - 1)
        await sweptTo(client, LIMITS.deadJobs)

        expect(await client.counts()).toMatchObject({ dead: LIMITS.deadJobs })
        expect((await client.list('dead', { limit: 1 })).jobs).toMatchObject([{ id: 1_501 }])
      })

      promise('keys that count no more go, and those that do stay', async (stage) => {
        const client = await stage.connect()
        const key = (n: number, ttlMs: number) => ({ dedupe: { key: `${n}`, mode: 'drop' as const, ttlMs } })
        await client.enqueue(
          upTo(600),
          {},
          upTo(600).map((n) => key(n, n <= 550 ? 1_000 : 9 * DAY_MS)),
        )
        await client.enqueue(['waits'], key(0, 1))
        await client.work(600)
        await client.settle({ ack: (await client.gets(600)).slice(0, 600).map(leaseOf) })
        await client.work(0)
        await stage.hibernate()
        const before = stage.rows
        stage.pass(DAY_MS)
        // The lease of the one that waits has ended by then, too: its job is written, and what is counted.
        const rows = 550 + 2
        while (stage.rows - before < rows) await client.counts()
        await client.settle({})

        expect(stage.rows - before).toBe(rows)
        expect((await client.enqueue(['again'], key(551, 1)))[0]).toMatchObject({ fate: 'redundant', offset: 551 })
        expect((await client.enqueue(['again'], key(0, 1)))[0]).toMatchObject({ fate: 'redundant', offset: 601 })
      })
    })

    describe('what a handler says while it works', () => {
      const holding = async (stage: QueueStage, options: JobOptions = {}): Promise<readonly [QueueClient, Taken]> => {
        const client = await stage.connect()
        await client.enqueue(['a'], options)
        await client.work(1)
        const [job] = await client.gets(1)
        return [client, job as Taken]
      }

      promise('goes to who watches, and costs no row', async (stage) => {
        const [client, job] = await holding(stage)
        const watcher = await stage.connect()
        await watcher.watch(1)
        const rows = stage.rows

        await client.ask('report', { reports: [{ lease: leaseOf(job), progress: '0.5', log: ['half'] }] })

        expect(watcher.told).toEqual([{ method: 'reported', id: 1, progress: '0.5', log: ['half'] }])
        expect(await (await stage.connect()).watch(1)).toEqual([
          { id: 1, state: 'waiting', progress: '0.5', log: ['half'] },
        ])
        await watcher.ask('unwatch', { ids: [1] })
        await client.ask('report', { reports: [{ lease: leaseOf(job), progress: '1' }] })
        expect(watcher.told).toHaveLength(1)
        expect(stage.rows).toBe(rows)
      })

      promise('is heard from nobody else', async (stage) => {
        const [, job] = await holding(stage)
        const other = await stage.connect()
        await other.watch(1)

        await other.ask('report', { reports: [{ lease: leaseOf(job), progress: '1' }] })

        expect(other.told).toEqual([])
      })

      promise('its last lines stay with a job that is dead or retained', async (stage) => {
        const [client, job] = await holding(stage, { attempts: 1 })
        for (const n of upTo(3))
          await client.ask('report', { reports: [{ lease: leaseOf(job), log: upTo(20, 20 * n).map(String) }] })
        await client.settle({ retry: [{ lease: leaseOf(job), error: '' }] })
        await client.enqueue(['b'], { retain: { ms: 1 } })
        const next = (await client.gets(2)).at(-1) as Taken
        await client.ask('report', { reports: [{ lease: leaseOf(next), log: ['done'] }] })
        await client.settle({ ack: [leaseOf(next)] })
        await stage.restart()
        const other = await stage.connect()

        expect((await other.list('dead')).jobs).toMatchObject([{ log: upTo(50, 30).map(String) }])
        expect((await other.list('completed')).jobs).toMatchObject([{ log: ['done'] }])
      })

      promise('what it keeps is given to the next attempt, also after a restart, for one row', async (stage) => {
        const [client, job] = await holding(stage)
        const lease = leaseOf(job)
        const rows = stage.rows

        await client.settle({ keep: [{ lease, state: '{"page":7}' }] })
        expect(stage.rows - rows).toBe(1)
        await stage.hibernate()
        await client.settle({ retry: [{ lease, error: '', delayMs: 0 }] })
        await client.gets(2)

        const { params } = client.frames.findLast(({ method }) => method === 'jobs') ?? {}
        expect(params).toMatchObject({ jobs: [[1, 2, stage.nowMs, { state: '{"page":7}' }]] })
        expect(await client.settle({ keep: [{ lease, state: '0' }] })).toEqual({ stale: [lease] })
      })
    })

    describe('leases', () => {
      const two = async (stage: QueueStage, leaseMs = 60_000): Promise<readonly [QueueClient, QueueClient, Taken]> => {
        const [first, second] = [await stage.connect(), await stage.connect()]
        await first.enqueue(['a'])
        await first.work(1, { leaseMs })
        const [job] = await first.gets(1)
        await first.work(0, { leaseMs })
        await second.work(1)
        return [first, second, job as Taken]
      }

      promise('end at their time: the worker is told, and another one gets the job', async (stage) => {
        const [first, second, job] = await two(stage)

        expect(stage.wakes.at(-1)).toBe(job.untilMs)
        stage.pass(60_000)
        const [again] = await second.gets(1)

        expect(first.lost).toMatchObject([{ leases: [leaseOf(job)], reason: 'deadline' }])
        expect(again).toMatchObject({ id: 1, attempt: 2 })
        expect(again?.token).toBeGreaterThan(job.token)
      })

      promise('are fenced: who lost one cannot finish the job', async (stage) => {
        const [first, second, job] = await two(stage)
        stage.pass(60_000)
        const [again] = await second.gets(1)
        const lease = leaseOf(job)

        const stale = [lease]
        expect(await first.settle({ ack: stale })).toEqual({ stale })
        expect(await first.settle({ retry: [{ lease, error: '' }] })).toEqual({ stale })
        expect(await first.settle({ release: stale })).toEqual({ stale })
        expect(await first.settle({ extend: [{ lease }] })).toEqual({ stale })
        expect(await second.settle({ ack: [leaseOf(again as Taken)] })).toEqual({ stale: [] })
      })

      promise(
        'that ended while the home was out of memory are told when all links are back, and given to whoever has room then',
        async (stage) => {
          // The one that is told comes back last.
          const [second, first] = [await stage.connect(), await stage.connect()]
          await first.enqueue(['a'])
          await first.work(1)
          const [job] = (await first.gets(1)) as [Taken]
          await first.work(0)
          await second.work(1)
          stage.nowMs += 60_000

          await stage.hibernate()
          stage.home.due()

          expect(await second.gets(1)).toMatchObject([{ id: job.id, attempt: 2 }])
          expect(first.lost).toMatchObject([{ leases: [leaseOf(job)], reason: 'deadline' }])
        },
      )

      promise('an ack that is late counts while nobody else was given the job', async (stage) => {
        const [first, second, job] = await two(stage)
        await second.work(0)
        stage.pass(60_000)
        expect(await first.counts()).toMatchObject({ ready: 1, active: 0 })

        expect(await first.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [] })

        await second.work(1)
        expect(await second.counts()).toMatchObject({ ready: 0, active: 0 })
      })

      promise('are settled by nobody else', async (stage) => {
        const [, second, job] = await two(stage)

        expect(await second.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [leaseOf(job)] })
      })

      promise('can be made longer, which a restart does not forget', async (stage) => {
        const [first, second, job] = await two(stage)
        stage.pass(50_000)

        await first.settle({ extend: [{ lease: leaseOf(job), ms: 90_000 }] })
        await stage.hibernate()
        stage.pass(60_000)

        expect(await first.counts()).toMatchObject({ active: 1 })
        stage.pass(30_000)
        await given([first, second], 2)
        expect(await first.counts()).toMatchObject({ active: 1, ready: 0 })
        expect(await first.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [leaseOf(job)] })
      })

      promise('outlive a lost connection for a while, in which the worker may come back', async (stage) => {
        const [first, second, job] = await two(stage)
        first.leave()
        stage.pass(GRACE_MS - 1)
        const back = await stage.connect({ name: first.name })

        expect(await back.work(0, { holding: [leaseOf(job)] })).toMatchObject({ lost: [] })
        stage.pass(GRACE_MS)

        expect(await back.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [] })
        expect(second.taken).toEqual([])
      })

      promise(
        'are those of the link on which their worker has spoken last, also after the home has slept',
        async (stage) => {
          const [next, broken] = [await stage.connect(), await stage.connect()]
          await broken.enqueue(['a', 'b'])
          await broken.work(1, { worker: 'worker_of_both' })
          const [job] = await broken.gets(1)
          await next.work(1, { worker: 'worker_of_both', holding: [leaseOf(job as Taken)] })
          await stage.hibernate()

          expect(await next.settle({ ack: [leaseOf(job as Taken)] })).toEqual({ stale: [] })
          expect(await next.gets(1)).toMatchObject([{ data: 'b' }])
          expect(broken.taken).toHaveLength(1)
        },
      )

      promise('end with that while, and who comes back later is told', async (stage) => {
        const [first, second, job] = await two(stage)
        first.leave()
        expect(stage.wakes.at(-1)).toBe(stage.nowMs + GRACE_MS)
        stage.pass(GRACE_MS)
        await second.gets(1)
        const back = await stage.connect({ name: first.name })

        expect(await back.work(1, { holding: [leaseOf(job)] })).toMatchObject({ lost: [leaseOf(job)] })
      })

      promise('of a worker that says it will not come back go back at once, without a loss', async (stage) => {
        const [first, second] = [await stage.connect(), await stage.connect()]
        await first.enqueue(['a', 'b'])
        await first.work(2)
        await first.gets(2)

        first.leave({ left: true })
        await second.work(2)

        expect((await second.gets(2)).map(({ data, attempt }) => [data, attempt])).toEqual([
          ['a', 1],
          ['b', 1],
        ])
      })

      promise('that a worker does not know of go back at once', async (stage) => {
        const [first, second] = await two(stage)
        first.leave()
        const back = await stage.connect({ name: first.name })

        await back.work(0, { holding: [] })

        expect(await second.gets(1)).toMatchObject([{ id: 1, attempt: 1 }])
      })

      promise(
        'that were given away while the worker was gone, and so told to nobody, go back at once',
        async (stage) => {
          const [first, second] = [await stage.connect(), await stage.connect()]
          await first.work(1)
          stage.commits.hold()
          const enqueued = second.enqueue(['a'])
          await stage.commits.reached()
          first.leave()
          stage.commits.release()
          await enqueued

          const back = await stage.connect({ name: first.name })
          await back.work(1, { holding: [] })

          expect(await back.gets(1)).toMatchObject([{ id: 1, attempt: 1 }])
        },
      )

      promise('that are on their way to a worker while it says what it holds stay its own', async (stage) => {
        const [first, second, job] = await two(stage)

        // As if it had said so before the job arrived.
        await first.work(2, { holding: [] })

        expect(await second.counts()).toMatchObject({ active: 1 })
        expect(second.taken).toEqual([])
        expect(await first.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [] })
      })

      promise('that are lost count as deliveries, whatever becomes of the home', async (stage) => {
        const [, second] = await two(stage, 1_000)
        await second.work(0)
        stage.pass(1_000)
        // By now another lease is written down in its place.
        await second.enqueue(['b'], { priority: 9 })
        await second.work(1)
        await second.gets(1)
        await stage.restart()

        const other = await stage.connect({ name: 'other' })
        await other.work(1)

        expect(await other.gets(1)).toMatchObject([{ id: 1, attempt: 2 }])
      })

      promise('are given again to a worker that comes back with empty hands', async (stage) => {
        const [first, second] = await two(stage)
        await second.work(0)
        first.leave()
        const back = await stage.connect({ name: first.name })

        await back.work(1, { holding: [] })

        expect(await back.gets(1)).toMatchObject([{ id: 1, attempt: 1 }])
      })

      promise('outlive the home', async (stage) => {
        const [first, second, job] = await two(stage)
        await stage.hibernate()
        await first.counts()

        expect(second.taken).toEqual([])
        expect(await first.settle({ ack: [leaseOf(job)] })).toEqual({ stale: [] })
      })

      promise('of workers that are gone end after a restart, too', async (stage) => {
        await two(stage)
        await stage.restart()
        const other = await stage.connect({ name: 'other' })
        await other.work(1)
        expect(other.taken).toEqual([])

        stage.pass(GRACE_MS)

        expect(await other.gets(1)).toMatchObject([{ id: 1, attempt: 2 }])
      })

      promise('rise, also over a restart', async (stage) => {
        const [first, , job] = await two(stage)
        await first.settle({ ack: [leaseOf(job)] })
        await stage.restart()
        const other = await stage.connect()
        await other.enqueue(['b'])

        await other.work(1)

        expect((await other.gets(1))[0]?.token).toBeGreaterThan(job.token)
      })

      promise('that were lost are not taken for live ones by a home that wakes', async (stage) => {
        const [first, second] = [await stage.connect(), await stage.connect()]
        await first.enqueue(['a', 'b'])
        await first.work(2)
        const [lost, kept] = (await first.gets(2)) as [Taken, Taken]
        await first.settle({ extend: [{ lease: leaseOf(kept), ms: 600_000 }] })
        await first.work(0)
        await second.work(1)
        stage.pass(60_000)
        const [again] = await second.gets(1)
        await second.work(0)
        // It goes back, and where its lease was written another one is now.
        await second.settle({ release: [leaseOf(again as Taken)] })
        await second.enqueue(['urgent'], { priority: 9 })
        await second.work(1)
        await second.gets(2)
        await stage.hibernate()

        expect(await first.settle({ ack: [leaseOf(lost)] })).toEqual({ stale: [leaseOf(lost)] })
        expect(await first.settle({ ack: [leaseOf(kept)] })).toEqual({ stale: [] })
      })

      promise('of a job that kills its workers are not given for ever', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['bomb'])
        await client.work(1, { leaseMs: 1_000 })
        for (let loss = 1; loss <= LIMITS.jobLosses + 1; loss++) {
          await client.gets(loss)
          stage.pass(1_000)
        }

        expect((await client.list('dead')).jobs).toMatchObject([{ id: 1, attempt: 0, losses: LIMITS.jobLosses + 1 }])
      })

      promise('end although the alarm was lost, with whatever comes next', async (stage) => {
        const [first, second, job] = await two(stage)
        stage.nowMs += 60_000

        await first.counts()

        expect(await second.gets(1)).toMatchObject([{ id: 1 }])
        expect(first.lost).toMatchObject([{ leases: [leaseOf(job)] }])
      })
    })

    describe('managing', () => {
      promise('counts jobs by what they wait for', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(upTo(5))
        await client.enqueue(['later'], { delayMs: 1_000 })
        await client.work(2)
        const taken = await client.gets(2)
        await client.work(1)
        await client.settle({ retry: [{ lease: leaseOf(taken[0] as Taken), error: '' }] })

        const counts = { ready: 3, scheduled: 1, retrying: 1, active: 1, dead: 0, completed: 0, paused: false }
        expect(await client.counts()).toEqual(counts)
        stage.pass(1_000)

        expect(await client.counts()).toEqual({ ...counts, ready: 5, scheduled: 0, retrying: 0 })
      })

      promise('pauses and goes on, which a restart does not forget', async (stage) => {
        const client = await stage.connect()
        await client.work(5)
        await client.ask('pause', { paused: true })
        await client.enqueue(['a'])
        await stage.hibernate()

        expect(await client.counts()).toMatchObject({ ready: 1, active: 0, paused: true })
        await client.ask('pause', { paused: false })

        await client.gets(1)
      })

      promise('limits how many jobs are held at a time', async (stage) => {
        const [a, b] = [await stage.connect(), await stage.connect()]
        await a.ask('limit', { concurrency: 3 })
        await a.enqueue(upTo(10))
        await a.work(10)
        await b.work(10)

        await given([a, b], 3)
        expect(await a.counts()).toMatchObject({ active: 3, ready: 7 })
        const done = a.taken.map(leaseOf)
        await a.settle({ ack: done })
        await given([a, b], 3 + done.length)
        expect(await a.counts()).toMatchObject({ active: 3 })
        await stage.hibernate()
        await a.ask('limit', {})

        await given([a, b], 10)
      })

      promise('limits how many jobs are given out in a time, which a restart does not forget', async (stage) => {
        const client = await stage.connect()
        await client.ask('limit', { rate: { count: 4, periodMs: 60_000 } })
        await client.enqueue(upTo(10))
        await client.work(10)
        await client.gets(4)
        await stage.hibernate()

        expect(await client.counts()).toMatchObject({ active: 4, ready: 6 })
        expect(stage.wakes.at(-1)).toBe(stage.nowMs + 15_000)
        stage.pass(15_000)
        await client.gets(5)

        expect(await client.counts()).toMatchObject({ active: 5, ready: 5 })
      })

      promise('lists jobs page by page, in their order, those that are held left out', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(upTo(5), {}, [null, null, { priority: 9 }, null, null])
        await client.work(1)
        await client.gets(1)
        await client.work(0)

        const first = await client.list('ready', { limit: 2 })
        const second = await client.list('ready', { limit: 2, after: first.next })
        const third = await client.list('ready', { limit: 2, after: second.next })

        const pages = [first, second, third].map(({ jobs }) => jobs.map(({ id }) => id))
        expect(pages).toEqual([[], [1, 2], [4, 5]])
        expect(third.messages).toEqual([4, 5])
      })
    })

    groupsSuite(promise)
    manageSuite(promise)
    workersSuite(promise)

    describe('rights', () => {
      const as = (...rights: (keyof typeof RIGHTS)[]) => ({
        identity: { ...ANA, rights: rights.reduce((mask, right) => mask | RIGHTS[right], 0) },
      })

      promise(
        'to enqueue that are gone hide no repeat: told that it is refused, it would be enqueued again',
        async (stage) => {
          const frame = { publisher: 'publisher_of_ana', after: 0, first: 1 }
          await (await stage.connect()).enqueueAs(frame, ['a', 'b'])

          const client = await stage.connect(as('view'))

          const [repeat, refused] = await client.enqueueAs(frame, ['a', 'b', 'c'])
          expect([repeat, refused]).toMatchObject([
            { fate: 'duplicate', first: 1, count: 2, offset: 1 },
            { fate: 'refused', first: 3, count: 1, code: 'forbidden' },
          ])
          await expect(client.enqueueAs({ ...frame, after: 2, first: 3 }, ['c'])).rejects.toMatchObject({
            code: 'forbidden',
          })
          expect(await client.counts()).toMatchObject({ ready: 2 })
        },
      )
      const refused = { code: 'forbidden' }

      promise('each method asks for its own', async (stage) => {
        const viewer = await stage.connect(as('view'))
        const worker = await stage.connect(as('work'))

        await expect(viewer.enqueue(['a'])).rejects.toMatchObject(refused)
        await expect(viewer.work(1)).rejects.toMatchObject(refused)
        await expect(viewer.settle({})).rejects.toMatchObject(refused)
        for (const [method, params] of [
          ['redrive', {}],
          ['cancel', { ids: [] }],
          ['pause', { paused: true }],
          ['limit', {}],
        ] as const)
          await expect(viewer.ask(method, params)).rejects.toMatchObject(refused)
        await expect(worker.counts()).rejects.toMatchObject(refused)
        await expect(worker.list('ready')).rejects.toMatchObject(refused)
        expect(stage.written).toEqual([])
      })

      promise('payloads are shown to who may peek', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['secret'])
        const viewer = await stage.connect(as('view'))
        const peeker = await stage.connect(as('view', 'peek'))

        expect(await viewer.list('ready')).toMatchObject({ jobs: [{ id: 1 }], messages: [null] })
        expect(await peeker.list('ready')).toMatchObject({ jobs: [{ id: 1 }], messages: ['secret'] })
      })

      promise('who may not work any more gets no other job', async (stage) => {
        const client = await stage.connect()
        await client.work(5)

        stage.home.judge(1, { ...ANA, rights: RIGHTS.enqueue })

        expect(client.closed).toMatchObject({ code: 4403, reason: 'access_changed' })
      })

      promise('another queue is not served', async (stage) => {
        const client = await stage.connect()

        await expect(client.ask('counts', { queue: 'mail/in' })).rejects.toMatchObject({ code: 'wrong_queue' })
      })
    })

    describe('rows', () => {
      promise('2.3 a job at most from end to end, with leases of 10', async (stage) => {
        const client = await stage.connect()
        const count = 200
        for (const n of upTo(count)) await client.enqueue([n])
        await client.work(10)

        for (let done = 0; done < count; done += 10) {
          const taken = (await client.gets(done + 10)).slice(done)
          await client.settle({ ack: taken.map(leaseOf) })
        }

        expect(stage.rows / count).toBeLessThanOrEqual(2.3)
        expect(await client.counts()).toMatchObject({ ready: 0, active: 0 })
      })

      promise('none for repeats, for time that passes, and for a job that is given back', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['later'], { delayMs: 100 })
        await client.work(1)
        stage.pass(100)
        const [job] = await client.gets(1)
        await client.work(0)
        const rows = stage.rows

        await client.enqueueAs({ publisher: 'publisher_client0', after: 0, first: 1 }, ['later'])
        await client.settle({ release: [leaseOf(job as Taken)] })
        stage.pass(1_000)

        expect(stage.rows).toBe(rows)
      })

      promise('one for a pause, however many jobs wait', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(upTo(100))
        const rows = stage.rows

        await client.ask('pause', { paused: true })

        expect(stage.rows).toBe(rows + 1)
      })
    })

    describe('bounds', () => {
      promise('of questions that wait', async (stage) => {
        const client = await stage.connect()
        stage.commits.hold()
        const enqueued = client.enqueue(['a'])
        await stage.commits.reached()
        const other = client.enqueueAs({ publisher: 'publisher_other', after: 0, first: 1 }, ['b'])

        const asked = upTo(LIMITS.readsPerLink).map(() => client.counts())
        await expect(client.counts()).rejects.toMatchObject({ code: 'busy' })

        stage.commits.release()
        await Promise.all([enqueued, other, ...asked])
      })

      promise('of pages that nobody gives credit for', async (stage) => {
        const client = await stage.connect()
        const large = 'x'.repeat(200_000)
        for (let i = 0; i < 4; i++) await client.enqueue([large])
        const page = () => client.list('ready')
        for (let bytes = 0; bytes <= LIMITS.historyBytes; bytes += 600_000) await page()

        await expect(page()).rejects.toMatchObject({ code: 'busy' })
        stage.nowMs += 5_000

        expect((await page()).jobs).toHaveLength(3)
      })

      promise('of what waits to become durable', async (stage) => {
        const client = await stage.connect()
        const large = Array(4).fill('x'.repeat(250_000))
        stage.commits.hold()
        const taken: Promise<unknown>[] = []
        const send = (i: number) => client.enqueueAs({ publisher: `publisher_${i}`, after: 0, first: 1 }, large)
        for (let i = 0; i < 8; i++) taken.push(send(i))
        await stage.commits.reached()

        await expect(send(8)).rejects.toMatchObject({ code: 'busy' })

        stage.commits.release()
        await Promise.all(taken)
      })

      promise('of results, and of what a handler keeps and says', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a'], { retain: { ms: 1_000 } })
        await client.work(1)
        const [job] = (await client.gets(1)) as [Taken]
        const lease = leaseOf(job)
        const bad = { code: 'bad_params' }

        for (const result of [
          `"${'x'.repeat(LIMITS.resultChars)}"`,
          'no JSON',
          '"\\ud800"',
          '['.repeat(99) + ']'.repeat(99),
        ])
          await expect(client.settle({ done: [{ lease, result }] })).rejects.toMatchObject(bad)
        const state = 'x'.repeat(LIMITS.stateChars + 1)
        await expect(client.settle({ keep: [{ lease, state }] })).rejects.toMatchObject(bad)
        for (const report of [{ progress: 'x'.repeat(5_000) }, { log: ['x'.repeat(501)] }, { log: Array(51).fill('') }])
          await expect(client.ask('report', { reports: [{ lease, ...report }] })).rejects.toMatchObject(bad)
        expect(await client.counts()).toMatchObject({ active: 1 })
      })

      promise('of reports', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a'])
        await client.work(1)
        const [job] = (await client.gets(1)) as [Taken]
        const reports = Array(100).fill({ lease: leaseOf(job), progress: `"${'x'.repeat(4_000)}"` })
        const report = () => client.ask('report', { reports })
        await report()
        await report()

        await expect(report()).rejects.toMatchObject({ code: 'busy' })
        stage.nowMs += 5_000

        await report()
      })

      promise('of jobs that one link watches, and of those one frame asks for', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(upTo(1_000))
        await client.enqueue([1])
        const ask = (first: number) => client.watch(...upTo(LIMITS.watchesPerFrame, first))
        for (let first = 1; first <= LIMITS.watchesPerLink; first += LIMITS.watchesPerFrame) await ask(first)

        await expect(client.watch(1_001)).rejects.toMatchObject({ code: 'busy' })
        await expect(client.watch(...upTo(LIMITS.watchesPerFrame + 1))).rejects.toMatchObject({ code: 'bad_params' })
        await client.ask('unwatch', { ids: [1] })

        expect(await client.watch(1_001)).toEqual([{ id: 1_001, state: 'waiting' }])
      })

      promise('of what is held, and of what is said at once: a home has both in memory', async (stage) => {
        const client = await stage.connect()
        const large = 'x'.repeat(250_000)
        const count = Math.ceil(LIMITS.heldBytes / large.length) + 10
        for (let i = 0; i < count; i++) await client.enqueue([large])

        await client.work(count)
        const most = Math.ceil(LIMITS.heldBytes / (large.length + 2))
        const taken = [...(await client.gets(most))]
        const { active, ready } = await client.counts()
        await stage.hibernate()
        await client.settle({ ack: taken.map(leaseOf) })
        await client.gets(count)

        expect([active, active + ready]).toEqual([most, count])
        const sizes = client.frames.flatMap(({ method, params }) =>
          method === 'jobs' ? [JSON.stringify(params).length] : [],
        )
        expect(Math.max(...sizes)).toBeLessThan(LIMITS.frameBytes)
      })

      promise('of workers on one link', async (stage) => {
        const client = await stage.connect()
        for (const n of upTo(LIMITS.workersPerLink)) await client.work(1, { worker: `worker_${n}` })

        await expect(client.work(1)).rejects.toMatchObject({ code: 'too_many_workers' })
        await client.work(2, { worker: 'worker_1' })
        // One that has stopped makes room.
        await client.work(0, { worker: 'worker_2' })
        await client.work(1)
      })
    })

    describe('schedules', () => schedulePromises(promise))

    describe('failing', () => {
      promise('of a commit closes every link, and what was acked is there', async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a'])
        stage.commits.failNext(new Error('disk'))

        await expect(client.enqueue(['b'])).rejects.toThrow('commit_failed')

        expect(client.closed).toMatchObject({ code: 4008 })
        const other = await stage.connect()
        expect(await other.counts()).toMatchObject({ ready: 1 })
      })
    })
  })
}
