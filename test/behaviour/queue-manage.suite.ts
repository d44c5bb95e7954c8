import { describe, expect } from 'vitest'
import { RIGHTS } from '../../packages/sdk/src/broker/rights.ts'
import type { BulkResult, ListResult, RedriveResult } from '../../packages/sdk/src/protocol/frames/queue.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { leaseOf, type QueueClient, type Taken } from '../support/queue-client.ts'
import type { Declare } from './queue-groups.suite.ts'
import { ANA, type QueueStage } from './queue-stage.ts'

const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i)

/** What every home of a queue promises about looking at jobs and doing something to many of them. */
export function manageSuite(promise: Declare): void {
  const idsOf = ({ jobs }: ListResult): number[] => jobs.map(({ id }) => id)
  const find = (client: QueueClient, state: string, filter: object, more: object = {}): Promise<ListResult> =>
    client.ask('list', { state, limit: 100, filter, ...more })
  /** All pieces of an action. */
  const all = async (client: QueueClient, params: object): Promise<number[]> => {
    const counts: number[] = []
    let more = {}
    for (;;) {
      const { count, snapshot, next } = await client.ask<BulkResult>('bulk', { ...params, ...more })
      counts.push(count)
      if (!next) return counts
      more = { snapshot, after: next }
    }
  }
  const bury = async (client: QueueClient, count: number, error = 'broken'): Promise<void> => {
    const have = client.taken.length
    await client.work(count)
    const taken = (await client.gets(have + count)).slice(have)
    await client.work(0)
    await client.settle({ retry: taken.map((one) => ({ lease: leaseOf(one), error, dead: true })) })
  }
  const fill = async (stage: QueueStage): Promise<QueueClient> => {
    const client = await stage.connect()
    await client.enqueue([{ to: 'ana' }, { to: 'ben' }], { group: 'a' })
    stage.nowMs += 1_000
    await client.enqueue([{ to: 'ana', urgent: true }, { to: 'cleo' }])
    return client
  }

  describe('looking for jobs', () => {
    promise('finds them by what is in them, by group and by time', async (stage) => {
      const client = await fill(stage)
      const later = stage.nowMs

      expect(idsOf(await find(client, 'ready', { text: '"ana"' }))).toEqual([1, 3])
      expect(idsOf(await find(client, 'ready', { group: 'a' }))).toEqual([1, 2])
      expect(idsOf(await find(client, 'ready', { text: '"ana"', group: 'a' }))).toEqual([1])
      expect(idsOf(await find(client, 'ready', { enqueuedFrom: later }))).toEqual([3, 4])
      expect(idsOf(await find(client, 'ready', { enqueuedTo: later }))).toEqual([1, 2])
      expect((await find(client, 'ready', { group: 'a' })).jobs[0]).toMatchObject({ group: 'a' })
    })

    promise('finds dead ones by their error', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a', 'b'])
      await bury(client, 1, 'TypeError: no such address')
      await bury(client, 1, 'timed out')

      expect(idsOf(await find(client, 'dead', { error: 'address' }))).toEqual([1])
    })

    promise('reads no more for one page than a page of the store, and goes on from there', async (stage) => {
      const client = await stage.connect()
      const count = 2 * LIMITS.laneJobs
      for (let first = 1; first <= count; first += 500) await client.enqueue(upTo(500, first))
      await client.enqueue(['needle'])
      const pages: ListResult[] = []
      let after: ListResult['next']

      do {
        pages.push(await find(client, 'ready', { text: 'needle' }, { after }))
        after = pages.at(-1)?.next
      } while (after)

      expect(pages.flatMap(idsOf)).toEqual([count + 1])
      expect(pages.length).toBeGreaterThanOrEqual(3)
    })

    promise('takes no more than were asked for, and leaves none out', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(upTo(7))

      const first = await find(client, 'ready', { enqueuedFrom: 0 }, { limit: 3 })
      const second = await find(client, 'ready', { enqueuedFrom: 0 }, { limit: 10, after: first.next })

      expect([idsOf(first), idsOf(second)]).toEqual([upTo(3), upTo(4, 4)])
    })

    promise('shows who has those that are active, and until when', async (stage) => {
      const client = await fill(stage)
      await client.work(2)
      const taken = await client.gets(2)

      const page = await find(client, 'active', {}, { limit: 1 })
      const rest = await find(client, 'active', {}, { after: page.next })

      expect([...page.jobs, ...rest.jobs]).toMatchObject(
        taken.map(({ id, untilMs }) => ({ id, untilMs, worker: `worker_${client.name}` })),
      )
      expect(rest).not.toHaveProperty('next')
      expect(idsOf(await find(client, 'active', { text: 'urgent' }))).toEqual([3])
    })

    promise('searches payloads only for who may look at them', async (stage) => {
      const client = await fill(stage)
      const identity = { ...ANA, rights: RIGHTS.view | RIGHTS.change }
      const viewer = await stage.connect({ identity })

      await expect(find(viewer, 'ready', { text: 'ana' })).rejects.toMatchObject({ code: 'forbidden' })
      await expect(viewer.ask('bulk', { action: 'cancel', filter: { text: 'ana' } })).rejects.toMatchObject({
        code: 'forbidden',
      })
      expect(idsOf(await find(viewer, 'ready', { group: 'a' }))).toEqual([1, 2])
      expect(await client.counts()).toMatchObject({ ready: 4 })
    })
  })

  describe('counting', () => {
    promise('is exact after a restart, whatever happened since the last lease', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(upTo(20))
      await client.enqueue(upTo(3), { delayMs: 60_000 })
      await client.enqueue(upTo(4), { group: 'g' })
      const exact = async (): Promise<void> => {
        const before = await client.counts()
        await stage.hibernate()
        expect(await client.counts()).toEqual(before)
      }
      await exact()
      await client.work(8)
      await client.gets(8)
      await client.work(0)
      const lease = (i: number) => leaseOf(client.taken[i] as Taken)
      await exact()

      await client.settle({ ack: [lease(0)] })
      await exact()
      await client.settle({ ack: [lease(1)], retry: [{ lease: lease(2), error: '' }] })
      await exact()
      await client.settle({ retry: [{ lease: lease(3), error: '', dead: true }] })
      await exact()
      await client.settle({ snooze: [{ lease: lease(4), ms: 5_000 }] })
      await exact()
      await client.ask('cancel', { ids: [20, 21] })
      await exact()
      await client.ask('redrive', {})
      await exact()
      await client.enqueue(['more'])
      await exact()
      expect(await client.counts()).toMatchObject({ ready: 17, scheduled: 3, retrying: 1, active: 3, dead: 0 })
    })

    promise('counts what was given back once', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(upTo(3))
      await client.work(2)
      const [first] = await client.gets(2)
      await client.work(0)

      await client.settle({ release: [leaseOf(first as Taken)] })
      expect(await client.counts()).toMatchObject({ ready: 2, active: 1 })
      await stage.hibernate()

      // Giving back is not written down: who wakes takes it for held.
      const { ready, active } = (await client.counts()) as { ready: number; active: number }
      expect(ready + active).toBe(3)
    })
  })

  describe('doing something to many', () => {
    promise('lets scheduled jobs run now', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a', 'b'], { delayMs: 60_000 })
      await client.enqueue(['c'])
      await client.work(10)
      await client.gets(1)

      expect(await client.ask('promote', { ids: [2, 3, 99] })).toEqual({ promoted: 1 })

      expect((await client.gets(2)).at(-1)).toMatchObject({ data: 'b', attempt: 1 })
      expect(await client.counts()).toMatchObject({ scheduled: 1 })
    })

    promise('lets a job run now for which its group waits', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a1', 'a2'], { group: 'a' })
      await client.work(10)
      const [job] = await client.gets(1)
      await client.settle({ retry: [{ lease: leaseOf(job as Taken), error: '', delayMs: 60_000 }] })

      expect(await client.ask('promote', { ids: [1, 2] })).toEqual({ promoted: 1 })

      expect((await client.gets(2)).at(-1)).toMatchObject({ data: 'a1', attempt: 2 })
    })

    promise('drives again what a filter means', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['mail ana', 'mail ben', 'call ana'])
      await bury(client, 3)

      expect(await all(client, { action: 'redrive', filter: { text: 'ana' } })).toEqual([2, 0])

      expect(await client.counts()).toMatchObject({ ready: 2, dead: 1 })
    })

    promise('cancels in pieces, and nothing that came later', async (stage) => {
      const client = await stage.connect()
      const count = LIMITS.laneJobs + 500
      for (let first = 1; first <= count; first += 500) await client.enqueue(upTo(500, first))

      const first = await client.ask<BulkResult>('bulk', { action: 'cancel' })
      await client.enqueue(['later'])
      await stage.hibernate()
      const more = { action: 'cancel', snapshot: first.snapshot, after: first.next }
      const second = await client.ask<BulkResult>('bulk', more)
      const again = await client.ask<BulkResult>('bulk', more)
      const third = await client.ask<BulkResult>('bulk', { ...more, after: second.next })

      expect([first, second, again, third].map((piece) => piece.count)).toEqual([1_000, 500, 0, 0])
      expect(third).not.toHaveProperty('next')
      expect(await client.counts()).toMatchObject({ ready: 1 })
    })

    promise('does not drive again what died since', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a', 'b'])
      await bury(client, 1)
      stage.nowMs += 10
      const { snapshot } = await client.ask<BulkResult>('bulk', { action: 'cancel', filter: { group: 'none' } })
      stage.nowMs += 10
      await bury(client, 1)

      expect(await all(client, { action: 'redrive', snapshot })).toEqual([1, 0])

      expect(await find(client, 'dead', {})).toMatchObject({ jobs: [{ id: 2 }] })
    })

    promise('drives all dead jobs again in pieces, and none that has died since', async (stage) => {
      const client = await stage.connect()
      const count = LIMITS.laneJobs + 500
      for (let first = 1; first <= count; first += 500) {
        await client.enqueue(upTo(500, first))
        await bury(client, 500)
      }

      const first = await client.ask<RedriveResult>('redrive', {})
      stage.nowMs += 10
      await bury(client, 500)
      await stage.hibernate()
      const more = { snapshot: first.snapshot, after: first.next }
      const second = await client.ask<RedriveResult>('redrive', more)

      expect(first).toMatchObject({ redriven: LIMITS.laneJobs, more: true })
      expect(second).toEqual({ redriven: 500, more: false })
      expect(await client.counts()).toMatchObject({ ready: 1_000, dead: 500 })
      await expect(client.ask('redrive', { ...more, after: [0, 0, 1] })).rejects.toMatchObject({ code: 'bad_params' })
    })

    promise(
      'says that there are no more dead jobs to drive again where those have died again meanwhile',
      async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['a', 'b'])
        await bury(client, 2)
        await client.work(2)

        const driven = client.ask('redrive', {})
        const again = (await client.gets(4)).slice(2)
        await client.settle({ retry: again.map((one) => ({ lease: leaseOf(one), error: 'again', dead: true })) })

        expect(await driven).toEqual({ redriven: 2, more: false })
        expect(await client.counts()).toMatchObject({ dead: 2 })
      },
    )

    promise(
      'shows jobs whose time has come among those that are ready, and no more among those that wait',
      async (stage) => {
        const client = await stage.connect()
        await client.enqueue(['now'])
        await client.enqueue(['soon', 'later'], { delayMs: 60_000, priority: 9 })
        await client.enqueue(['much later'], { delayMs: 600_000 })
        const listed = async (state: string): Promise<number[]> => {
          const ids: number[] = []
          for (let after: ListResult['next']; ; ) {
            const page: ListResult = await client.ask('list', { state, limit: 1, ...(after && { after }) })
            ids.push(...idsOf(page))
            after = page.next
            if (!after) return ids.sort()
          }
        }

        expect([await listed('ready'), await listed('scheduled')]).toEqual([[1], [2, 3, 4]])
        await client.ask('promote', { ids: [3] })
        expect([await listed('ready'), await listed('scheduled')]).toEqual([
          [1, 3],
          [2, 4],
        ])
        stage.nowMs += 60_000
        expect([await listed('ready'), await listed('scheduled')]).toEqual([[1, 2, 3], [4]])

        expect(await all(client, { action: 'cancel', state: 'scheduled' })).toEqual([1, 0])
        expect([await listed('ready'), await listed('scheduled')]).toEqual([[1, 2, 3], []])
        expect((await all(client, { action: 'cancel', state: 'ready' })).reduce((sum, one) => sum + one)).toBe(3)
        expect(await client.counts()).toMatchObject({ ready: 0, scheduled: 0 })
      },
    )

    promise('cancels jobs that are held, and tells their workers', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a', 'b'])
      await client.work(1)
      const [job] = await client.gets(1)

      expect(await all(client, { action: 'cancel', state: 'ready' })).toEqual([2, 0])

      expect(client.lost).toMatchObject([{ leases: [leaseOf(job as Taken)], reason: 'cancelled' }])
    })

    promise('clears the dead, and tries again now what waits for it', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a', 'b', 'c'])
      await bury(client, 2)
      await client.work(1)
      const job = (await client.gets(3)).at(-1)
      await client.work(0)
      await client.settle({ retry: [{ lease: leaseOf(job as Taken), error: '', delayMs: 60_000 }] })

      expect(await all(client, { action: 'cancel', state: 'dead' })).toEqual([2, 0])
      expect(await all(client, { action: 'retry' })).toEqual([1, 0])

      expect(await client.counts()).toMatchObject({ ready: 1, retrying: 0, dead: 0 })
    })

    promise('asks for the right to', async (stage) => {
      const viewer = await stage.connect({ identity: { ...ANA, rights: RIGHTS.view | RIGHTS.peek } })

      await expect(viewer.ask('bulk', { action: 'cancel' })).rejects.toMatchObject({ code: 'forbidden' })
      await expect(viewer.ask('promote', { ids: [1] })).rejects.toMatchObject({ code: 'forbidden' })
    })
  })
}
