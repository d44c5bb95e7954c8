import { describe, expect } from 'vitest'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { leaseOf, type QueueClient, type Taken } from '../support/queue-client.ts'
import type { QueueStage } from './queue-stage.ts'

export type Declare = (sentence: string, test: (stage: QueueStage) => Promise<void>) => void

const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i)

/** What every home of a queue promises about groups of jobs. */
export function groupsSuite(promise: Declare): void {
  const last = ({ taken }: QueueClient): Taken => taken.at(-1) as Taken
  const ack = (client: QueueClient, ...taken: Taken[]) => client.settle({ ack: taken.map(leaseOf) })
  const fail = (client: QueueClient, taken: Taken, delayMs = 1_000) =>
    client.settle({ retry: [{ lease: leaseOf(taken), error: 'failed', delayMs }] })

  describe('groups', () => {
    promise('have one job held at a time, in their order, while others go on', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a1', 'a2', 'b1', 'free', 'b2'], {}, [
        { group: 'a' },
        { group: 'a' },
        { group: 'b' },
        null,
        { group: 'b' },
      ])
      await client.work(10)

      expect((await client.gets(3)).map(({ data }) => data)).toEqual(['a1', 'b1', 'free'])
      expect(await client.counts()).toMatchObject({ active: 3, ready: 2 })
      await ack(client, client.taken[1] as Taken)
      await client.gets(4)
      expect(last(client)).toMatchObject({ data: 'b2' })
      await ack(client, client.taken[0] as Taken)
      await client.gets(5)
      expect(last(client)).toMatchObject({ data: 'a2' })
    })

    promise('give their next job away in the commit that ends the one before', async (stage) => {
      const client = await stage.connect()
      // Of the lowest priority, so that every lane has been read by then, and nothing else delays what is given away.
      await client.enqueue(['probe'], { priority: 0 })
      await client.work(5)
      await ack(client, (await client.gets(1))[0] as Taken)
      await client.enqueue([1, 2], { group: 'a' })
      await client.gets(2)
      const before = stage.written.length

      await ack(client, last(client))
      await client.gets(3)

      expect(stage.written).toHaveLength(before + 1)
    })

    promise('have as many held as they say', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(upTo(8), { group: { id: 'a', concurrency: 3 } })
      await client.work(10)
      await client.gets(3)

      expect(await client.counts()).toMatchObject({ active: 3, ready: 5 })
      await ack(client, client.taken[2] as Taken, client.taken[0] as Taken)
      await client.gets(5)

      expect(client.ids).toEqual(upTo(5))
    })

    promise('wait for a job of theirs that is tried again, also after a restart', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a1', 'a2'], { group: 'a' })
      await client.enqueue(['other'])
      await client.work(10)
      await client.gets(2)
      await fail(client, client.taken[0] as Taken, 5_000)

      await client.enqueue(['a3'], { group: 'a', priority: 4 })
      expect(client.taken).toHaveLength(2)
      expect(stage.wakes.at(-1)).toBe(stage.nowMs + 5_000)
      await stage.hibernate()
      expect(await client.counts()).toMatchObject({ active: 1 })
      expect(client.taken).toHaveLength(2)
      stage.pass(5_000)
      await client.gets(3)
      expect(last(client)).toMatchObject({ data: 'a1', attempt: 2 })
      expect(await client.counts()).toMatchObject({ active: 2 })

      await ack(client, last(client))
      await client.gets(4)
      expect(last(client)).toMatchObject({ data: 'a2' })
    })

    promise('wait for a job of theirs that is put off', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a1', 'a2'], { group: 'a' })
      await client.work(10)
      await client.gets(1)

      await client.settle({ snooze: [{ lease: leaseOf(last(client)), ms: 9_000 }] })
      stage.pass(8_999)
      expect(await client.counts()).toMatchObject({ active: 0 })
      stage.pass(1)

      expect((await client.gets(2)).at(-1)).toMatchObject({ data: 'a1', attempt: 1 })
    })

    promise('go on when the job that held them back is dead, cancelled or late', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(upTo(4), { group: 'a' })
      await client.work(10)
      await client.gets(1)

      await client.settle({ retry: [{ lease: leaseOf(last(client)), error: '', dead: true }] })
      await client.gets(2)
      await fail(client, last(client), 60_000)
      expect(await client.ask('cancel', { ids: [2] })).toEqual({ cancelled: 1 })
      await client.gets(3)
      await client.work(0)
      stage.pass(60_000)
      await ack(client, last(client))
      await client.work(1)

      expect((await client.gets(4)).map(({ data }) => data)).toEqual(upTo(4))
    })

    promise('keep their order when jobs are given back or lost', async (stage) => {
      const [first, second] = [await stage.connect(), await stage.connect()]
      await first.enqueue(upTo(3), { group: 'a' })
      await first.work(1)
      await first.gets(1)
      await second.work(1)

      await first.work(0)
      await first.settle({ release: [leaseOf(last(first))] })
      await second.gets(1)
      second.leave()
      await first.work(1)
      stage.pass(LIMITS.workerGraceMs)

      expect((await first.gets(2)).map(({ data }) => data)).toEqual([1, 1])
    })

    promise('do not wait for one of several that is tried again', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(upTo(3), { group: { id: 'a', concurrency: 2 } })
      await client.work(10)
      await client.gets(2)

      await fail(client, client.taken[0] as Taken)
      await client.gets(3)
      await ack(client, ...client.taken)
      stage.pass(1_000)

      expect((await client.gets(4)).map(({ data }) => data)).toEqual([1, 2, 3, 1])
    })

    promise('take in a delayed job when it is due, behind those that came before then', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['delayed'], { group: 'a', delayMs: 1_000 })
      await client.enqueue(['now'], { group: 'a' })
      stage.nowMs += 2_000
      await client.enqueue(['later'], { group: 'a' })
      await client.work(10)

      for (const count of [1, 2, 3]) {
        await client.gets(count)
        expect(client.taken).toHaveLength(count)
        await ack(client, last(client))
      }

      expect(client.taken.map(({ data }) => data)).toEqual(['now', 'delayed', 'later'])
    })

    promise('a delayed one holds its group back, too, when it is tried again', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['delayed'], { group: 'a', delayMs: 1_000 })
      await client.work(10)
      stage.pass(1_000)
      await client.gets(1)
      await client.enqueue(['behind'], { group: 'a' })

      await fail(client, last(client))
      await stage.hibernate()
      expect(await client.counts()).toMatchObject({ active: 0 })
      stage.pass(1_000)
      await client.gets(2)

      expect(last(client)).toMatchObject({ data: 'delayed', attempt: 2 })
      expect(await client.counts()).toMatchObject({ active: 1 })
    })

    promise('are held back by leases that outlive the home', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(upTo(2), { group: 'a' })
      await client.work(2)
      await client.gets(1)
      await stage.hibernate()

      expect(await client.counts()).toMatchObject({ active: 1, ready: 1 })
      await ack(client, last(client))

      expect((await client.gets(2)).map(({ data }) => data)).toEqual([1, 2])
    })

    promise('cost no row', async (stage) => {
      const client = await stage.connect()
      const rowsOf = async (options: object): Promise<number> => {
        const before = stage.rows
        const have = client.taken.length
        await client.enqueue([1, 2], options)
        await client.work(1)
        for (const count of [1, 2]) {
          await client.gets(have + count)
          if (count === 1) {
            await fail(client, last(client), 0)
            await client.gets(have + 2)
          }
          await ack(client, last(client))
        }
        await client.gets(have + 3)
        await ack(client, last(client))
        return stage.rows - before
      }

      expect(await rowsOf({ group: 'a' })).toBe(await rowsOf({}))
    })

    promise('of which one has a long backlog do not stop the others', async (stage) => {
      const client = await stage.connect()
      const count = 3 * LIMITS.laneJobs
      for (let first = 1; first <= count; first += 500) await client.enqueue(upTo(500, first), { group: 'a' })
      await client.enqueue(['other'], { group: 'b' })
      await client.work(2)

      expect((await client.gets(2)).map(({ data }) => data)).toEqual([1, 'other'])
      await stage.hibernate()
      await ack(client, last(client))
      for (let done = 1; done <= 20; done++) {
        const [job] = client.taken.slice(done === 1 ? 0 : done).slice(0, 1)
        await ack(client, job as Taken)
        await client.gets(done + 2)
      }

      expect(client.taken.slice(2).map(({ data }) => data)).toEqual(upTo(20, 2))
    })

    promise('refuse a name or a number out of bounds', async (stage) => {
      const client = await stage.connect()

      for (const group of ['', 'x'.repeat(LIMITS.groupChars + 1), { id: 'a', concurrency: 0 }, { id: 'a' }, 7])
        await expect(
          client.enqueueAs({ publisher: 'publisher_bad', after: 0, first: 1, options: { group } as object }, [1]),
        ).rejects.toMatchObject({ code: 'bad_params' })
    })
  })
}
