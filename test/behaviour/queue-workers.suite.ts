import { describe, expect } from 'vitest'
import { RIGHTS } from '../../packages/sdk/src/broker/rights.ts'
import type { WorkersResult } from '../../packages/sdk/src/protocol/frames/workers.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { leaseOf, type QueueClient } from '../support/queue-client.ts'
import type { Declare } from './queue-groups.suite.ts'
import { ANA } from './queue-stage.ts'

/** What every home of a queue promises about those who work on it. */
export function workersSuite(promise: Declare): void {
  const about = { kind: 'node', host: 'host-1.example', pid: 4711 } as const
  const work = (client: QueueClient, capacity: number, more: object = {}): Promise<unknown> =>
    client.ask('work', { worker: 'worker_a', capacity, leaseMs: 60_000, about, ...more })
  const workersOf = async (client: QueueClient): Promise<WorkersResult['workers']> =>
    (await client.ask<WorkersResult>('workers', {})).workers

  describe('who works', () => {
    promise(
      'is shown with what it says of itself, its user, and what it holds since when and until when',
      async (stage) => {
        const client = await stage.connect()
        const startedAt = stage.nowMs
        await work(client, 2)
        stage.nowMs += 1_000
        await client.enqueue(['a', 'b', 'c'])
        await client.gets(2)
        stage.nowMs += 1_000
        const rows = stage.rows

        expect(await workersOf(client)).toEqual([
          {
            worker: 'worker_a',
            user: 'ana',
            about,
            since: startedAt,
            capacity: 2,
            holding: 2,
            jobs: [1, 2].map((id) => [id, startedAt + 1_000, startedAt + 61_000]),
          },
        ])
        expect(stage.rows).toBe(rows)
      },
    )

    promise('is known over hibernation', async (stage) => {
      const client = await stage.connect()
      const startedAt = stage.nowMs
      await work(client, 1)
      await client.enqueue(['a'])
      await client.gets(1)
      await work(client, 0, { quiet: true })
      stage.nowMs += 5_000

      await stage.hibernate()

      expect(await workersOf(client)).toMatchObject([
        { user: 'ana', about, since: startedAt, quiet: true, jobs: [[1, startedAt, startedAt + 60_000]] },
      ])
    })

    promise('is shown as gone until its grace ends, whether it holds jobs or none', async (stage) => {
      const viewer = await stage.connect()
      const [one, two] = [await stage.connect(), await stage.connect()]
      await work(one, 1)
      await viewer.enqueue(['a'])
      await one.gets(1)
      await work(two, 1, { worker: 'worker_b' })
      const goneAt = stage.nowMs
      one.leave()
      two.leave()

      expect(await workersOf(viewer)).toMatchObject([
        { worker: 'worker_a', goneAt, holding: 1 },
        { worker: 'worker_b', goneAt, holding: 0 },
      ])
      stage.pass(LIMITS.workerGraceMs)
      expect(await workersOf(viewer)).toEqual([])
    })

    promise('is the same one when it is back in time', async (stage) => {
      const viewer = await stage.connect()
      const since = stage.nowMs
      const one = await stage.connect()
      await work(one, 1)
      one.leave()
      stage.nowMs += 1_000

      await work(await stage.connect(), 1)

      const [worker, ...others] = await workersOf(viewer)
      expect(worker).toMatchObject({ worker: 'worker_a', since })
      expect(worker?.goneAt).toBeUndefined()
      expect(others).toEqual([])
    })

    promise('is not shown once it wants nothing more, unless it is quiet', async (stage) => {
      const client = await stage.connect()
      await work(client, 1)
      await work(client, 0, { quiet: true })
      expect(await workersOf(client)).toMatchObject([{ quiet: true, capacity: 0 }])

      await work(client, 0)

      expect(await workersOf(client)).toEqual([])
    })

    promise('includes who claims without a link, while they hold jobs', async (stage) => {
      const client = await stage.connect()
      await client.enqueue(['a'])
      const { token } = await client.claim(1)

      expect(await workersOf(client)).toMatchObject([
        { worker: `puller_${client.name}`, about: { kind: 'http' }, holding: 1 },
      ])
      expect(await client.ask('list', { state: 'active', limit: 1 })).toMatchObject({
        jobs: [{ worker: `puller_${client.name}` }],
      })
      await client.settle({ worker: `puller_${client.name}`, ack: [[1, token as number]] })
      expect(await workersOf(client)).toEqual([])
    })

    promise('goes over pages', async (stage) => {
      const client = await stage.connect()
      const names = Array.from({ length: 5 }, (_, i) => `worker_${i}`)
      for (const worker of names) await work(client, 1, { worker })

      const found: string[] = []
      let after: string | undefined
      do {
        const page: WorkersResult = await client.ask('workers', { limit: 2, ...(after !== undefined && { after }) })
        expect(page.workers.length).toBeLessThanOrEqual(2)
        found.push(...page.workers.map(({ worker }) => worker))
        after = page.next
      } while (after !== undefined)

      expect(found).toEqual(names)
    })

    promise('asks for the right to view', async (stage) => {
      const viewer = await stage.connect({ identity: { ...ANA, rights: RIGHTS.view } })
      const worker = await stage.connect({ identity: { ...ANA, rights: RIGHTS.work | RIGHTS.enqueue } })
      await work(worker, 1)

      await expect(workersOf(worker)).rejects.toMatchObject({ code: 'forbidden' })
      expect(await workersOf(viewer)).toHaveLength(1)
    })

    promise('is bounded in what it says of itself', async (stage) => {
      const client = await stage.connect()
      const wrong = [
        { kind: 'toaster' },

        { kind: 'node', host: 'x'.repeat(LIMITS.workerHostChars + 1) },
        { kind: 'node', pid: -1 },
      ]

      for (const about of wrong) await expect(work(client, 1, { about })).rejects.toMatchObject({ code: 'bad_params' })
      expect(await workersOf(client)).toEqual([])
    })

    promise('leaves room on its link when it has ended', async (stage) => {
      const client = await stage.connect()
      for (let n = 0; n < 3 * LIMITS.workersPerLink; n++) {
        await client.work(1, { worker: `worker_${n}` })
        await client.work(0, { worker: `worker_${n}` })
      }
      await client.work(1)

      await client.enqueue(['a'])
      const [taken] = await client.gets(1)
      expect((await client.settle({ ack: [leaseOf(taken as never)] })).stale).toEqual([])
    })
  })
}
