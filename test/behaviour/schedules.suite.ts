import { describe, expect } from 'vitest'
import { RIGHTS } from '../../packages/sdk/src/broker/rights.ts'
import type { ScheduleResult } from '../../packages/sdk/src/protocol/frames/queue.ts'
import type { Plan, RunScheduleResult, SchedulesResult } from '../../packages/sdk/src/protocol/frames/schedules.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { Random } from '../sim/random.ts'
import { leaseOf, type QueueClient, type Taken } from '../support/queue-client.ts'
import { ANA, type QueueStage } from './queue-stage.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i)
const utc = (text: string): number => Date.parse(`${text}Z`)

interface Asked extends Partial<Plan> {
  readonly id?: string
  readonly data?: unknown
  readonly options?: object
}

function schedule(client: QueueClient, { id = 'nightly', data = 'data', options, ...plan }: Asked) {
  const params = { id, plan: { missed: 'last', overlap: 'allow', ...plan }, data: JSON.stringify(data) }
  return client.ask<ScheduleResult>('schedule', { ...params, ...(options && { options }) })
}

const listed = async (client: QueueClient) => (await client.ask<SchedulesResult>('schedules', {})).schedules
const run = (client: QueueClient, id: string, name = 'run_by_hand') =>
  client.ask<RunScheduleResult>('runSchedule', { id, run: name })
const ticksOf = ({ taken }: QueueClient): number[] => taken.map(({ tick }) => tick?.at ?? 0)

/** Whoever takes every job, and keeps it. */
async function taker(stage: QueueStage): Promise<QueueClient> {
  const client = await stage.connect()
  await take(client, 1_000)
  return client
}
const take = (client: QueueClient, capacity: number) => client.work(capacity, { leaseMs: LIMITS.leaseMs })

/** The ticks of all jobs that wait, oldest job first, and what was written of them. */
async function waiting(client: QueueClient): Promise<unknown[]> {
  const { jobs, messages } = await client.list('ready', { limit: 1_000 })
  return jobs.map(({ id }, i) => [id, messages[i]])
}

/** @param promise tells what every home does */
export function schedulePromises(
  promise: (sentence: string, test: (stage: QueueStage) => Promise<void>) => void,
): void {
  describe('ticks', () => {
    promise('add one job each, when their time has come, which says which tick it is for', async (stage) => {
      const client = await taker(stage)
      const start = stage.nowMs

      const { nextAt } = await schedule(client, { everyMs: MINUTE_MS, data: { to: 'all' } })
      expect(nextAt).toBe(start + MINUTE_MS)
      stage.pass(MINUTE_MS - 1)
      expect(await client.counts()).toMatchObject({ ready: 0, active: 0 })
      stage.pass(1)
      await client.gets(1)
      stage.pass(MINUTE_MS + 30)
      await client.gets(2)

      expect(client.taken).toMatchObject([
        { data: { to: 'all' }, tick: { schedule: 'nightly', at: start + MINUTE_MS } },
        { data: { to: 'all' }, tick: { schedule: 'nightly', at: start + 2 * MINUTE_MS } },
      ])
      expect(await client.counts()).toMatchObject({ active: 2 })
    })

    promise('come without anybody there, for which the home asks to be woken', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { cron: '30 9 * * *', timeZone: 'Europe/Berlin' })
      client.leave()

      expect(stage.wakes.at(-1)).toBe(utc('2027-01-15T08:30'))
      stage.pass(30 * MINUTE_MS)

      expect(stage.wakes.at(-1)).toBe(utc('2027-01-16T08:30'))
      expect(await waiting(await stage.connect())).toEqual([[1, 'data']])
    })

    promise('cost two rows, the job and the schedule, in one commit', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS })
      await schedule(client, { id: 'other', everyMs: 10 * MINUTE_MS, overlap: 'skip' })
      const { written } = stage
      written.length = 0

      for (let minute = 1; minute < 10; minute++) {
        stage.pass(MINUTE_MS)
        await client.counts()
      }
      expect(stage.rows).toBe(9 * 2)
      expect(written).toHaveLength(9)
      stage.pass(MINUTE_MS)
      await client.counts()

      expect(written.at(-1)).toMatchObject({
        put: [{ id: 10 }, { id: 11 }],
        facts: [
          ['s:nightly', expect.any(String)],
          ['s:other', expect.any(String)],
        ],
      })
    })

    promise('have the options of their schedule', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS, options: { attempts: 1, priority: 9 } })
      stage.pass(MINUTE_MS)
      await client.enqueueAs({ publisher: 'publisher_of_another', after: 0, first: 1 }, ['usual'])
      await take(client, 1)
      const [first] = await client.gets(1)

      expect(first).toMatchObject({ data: 'data' })
      await client.settle({ retry: [{ lease: leaseOf(first as Taken), error: 'no' }] })
      expect(await client.counts()).toMatchObject({ dead: 1, retrying: 0 })
    })

    promise('are done with every event, where the alarm was lost', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS })

      stage.nowMs += MINUTE_MS

      await client.counts()
      expect(await waiting(client)).toEqual([[1, 'data']])
    })

    promise('of many schedules come in the order of their times', async (stage) => {
      const client = await taker(stage)
      const start = stage.nowMs
      for (const n of upTo(20)) await schedule(client, { id: `every/${n}`, everyMs: n * MINUTE_MS, missed: 'all' })
      stage.pass(20 * MINUTE_MS)

      const expected = upTo(20).flatMap((n) => upTo(Math.floor(20 / n)).map((k) => k * n * MINUTE_MS))
      await client.gets(expected.length)
      expect(ticksOf(client)).toEqual(expected.sort((a, b) => a - b).map((at) => start + at))
    })

    promise('stop when the schedule ends, and a program that asks for it again changes nothing', async (stage) => {
      const client = await taker(stage)
      const ends = { everyMs: MINUTE_MS, endAt: stage.nowMs + 2 * MINUTE_MS }
      await schedule(client, ends)
      for (const _ of upTo(5)) stage.pass(MINUTE_MS)
      await client.gets(2)

      expect(await schedule(client, ends)).toEqual({})
      expect(await listed(client)).toMatchObject([{ id: 'nightly', jobCount: 2 }])
      expect((await listed(client))[0]).not.toHaveProperty('nextAt')
      expect(client.taken).toHaveLength(2)
    })
  })

  describe('ticks that were missed', () => {
    /** The ticks that have come after so many ms of sleep, in minutes from the beginning. */
    const late = async (stage: QueueStage, missed: Plan['missed'], { ms, count }: { ms: number; count: number }) => {
      const client = await taker(stage)
      const start = stage.nowMs
      await schedule(client, { everyMs: MINUTE_MS, missed })
      await stage.hibernate()
      stage.pass(ms)
      await client.gets(count)
      await client.settle({ ack: client.taken.map(leaseOf) })
      // Whatever became of those, the next one is the next one.
      stage.pass(MINUTE_MS - (ms % MINUTE_MS))
      await client.gets(count + 1)
      const came = ticksOf(client).map((at) => (at - start) / MINUTE_MS)
      expect(came.pop()).toBe(Math.floor(ms / MINUTE_MS) + 1)
      return came
    }

    promise('skip: are left out, but for one that is hardly late', async (stage) => {
      expect(await late(stage, 'skip', { ms: 10 * MINUTE_MS + LIMITS.tickLateMs / 2, count: 1 })).toEqual([10])
    })

    promise('skip: are left out', async (stage) => {
      const client = await taker(stage)
      await schedule(client, { everyMs: HOUR_MS, missed: 'skip' })

      stage.pass(HOUR_MS + LIMITS.tickLateMs + 1)
      expect(await client.counts()).toMatchObject({ ready: 0, active: 0 })
      stage.pass(HOUR_MS - LIMITS.tickLateMs - 1)

      await client.gets(1)
    })

    promise('last: the newest one is made up for, however late it is', async (stage) => {
      expect(await late(stage, 'last', { ms: 100.5 * MINUTE_MS, count: 1 })).toEqual([100])
    })

    promise('all: each of them is made up for, in their order', async (stage) => {
      expect(await late(stage, 'all', { ms: 250.5 * MINUTE_MS, count: 250 })).toEqual(upTo(250))
    })

    promise('all: the newest ones, where there are more than are caught up on', async (stage) => {
      const count = LIMITS.catchUpTicks
      const came = await late(stage, 'all', { ms: (count + 7.5) * MINUTE_MS, count })

      expect(came).toEqual(upTo(count, 8))
    })

    promise(
      'are not forgotten where the memory goes before the last commit: the home asks to be woken',
      async (stage) => {
        const client = await stage.connect()
        await schedule(client, { everyMs: MINUTE_MS, missed: 'all' })
        stage.commits.hold()
        stage.pass(150.5 * MINUTE_MS)
        await stage.commits.reached()

        expect(stage.wakes.at(-1)).toBe(stage.nowMs + LIMITS.tickRetryMs)
        await stage.restart()
        stage.commits.release()
        stage.pass(LIMITS.tickRetryMs)
        const after = await taker(stage)
        await after.gets(150)
      },
    )

    promise('are added commit by commit, none twice, where the home dies in between', async (stage) => {
      const client = await stage.connect()
      const start = stage.nowMs
      await schedule(client, { everyMs: MINUTE_MS, missed: 'all' })
      await stage.restart()
      stage.nowMs += 250 * MINUTE_MS
      stage.written.length = 0
      stage.commits.hold()
      const early = stage.connect()
      await stage.commits.reached()
      stage.commits.releaseOne()
      await stage.commits.reached()
      await stage.restart()
      early.catch(() => {})
      stage.commits.release()

      const after = await taker(stage)
      await after.gets(250)
      expect(Math.max(...stage.written.map(({ put }) => put.length))).toBe(LIMITS.ticksPerCommit)
      expect(ticksOf(after)).toEqual(upTo(250).map((n) => start + n * MINUTE_MS))
    })
  })

  describe('clocks', () => {
    promise('that are put back bring no tick twice', async (stage) => {
      const client = await taker(stage)
      const start = stage.nowMs
      await schedule(client, { everyMs: MINUTE_MS, missed: 'all' })
      for (const _ of upTo(5)) stage.pass(MINUTE_MS)
      stage.pass(-4 * MINUTE_MS)
      await stage.hibernate()
      for (const _ of upTo(6)) stage.pass(MINUTE_MS)

      await client.gets(7)
      expect(await client.counts()).toMatchObject({ ready: 0, active: 7 })
      expect(ticksOf(client)).toEqual(upTo(7).map((n) => start + n * MINUTE_MS))
    })

    promise('that are put forward and back again bring each tick once', async (stage) => {
      const client = await taker(stage)
      const start = stage.nowMs
      await schedule(client, { everyMs: MINUTE_MS, missed: 'all' })
      stage.pass(HOUR_MS)
      stage.pass(-HOUR_MS)
      for (const _ of upTo(61)) stage.pass(MINUTE_MS)

      await client.gets(61)
      expect(await client.counts()).toMatchObject({ ready: 0, active: 61 })
      expect(ticksOf(client)).toEqual(upTo(61).map((n) => start + n * MINUTE_MS))
    })

    promise('of a zone that are changed: every hour of a night of 25, across restarts', async (stage) => {
      stage.nowMs = utc('2027-10-30T22:30')
      const hourly = await stage.connect()
      await schedule(hourly, { id: 'hourly', cron: '0 * * * *', timeZone: 'Europe/Berlin', missed: 'all' })
      await schedule(hourly, { id: 'half past two', cron: '30 2 * * *', timeZone: 'Europe/Berlin' }).catch(() => {})
      await schedule(hourly, { id: 'half-past-two', cron: '30 2 * * *', timeZone: 'Europe/Berlin', missed: 'all' })
      for (const _ of upTo(48)) {
        stage.pass(HOUR_MS / 2)
        await stage.restart()
      }

      const client = await taker(stage)
      await client.gets(24 + 1)
      const of = (id: string) =>
        client.taken.flatMap(({ tick }) =>
          tick?.schedule === id ? [new Date(tick.at).toISOString().slice(0, 16)] : [],
        )
      expect(of('hourly')).toEqual(
        upTo(24).map((n) => new Date(utc('2027-10-30T22:00') + n * HOUR_MS).toISOString().slice(0, 16)),
      )
      expect(of('half-past-two')).toEqual(['2027-10-31T00:30'])
    })
  })

  describe('jobs that would overlap', () => {
    promise('allow: are added all the same', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS, overlap: 'allow' })
      for (const _ of upTo(3)) stage.pass(MINUTE_MS)

      expect(await client.counts()).toMatchObject({ ready: 3 })
    })

    promise('skip: their ticks are passed over for good, until the job is finished', async (stage) => {
      const client = await stage.connect()
      const start = stage.nowMs
      await schedule(client, { everyMs: MINUTE_MS, overlap: 'skip', missed: 'all' })
      for (const _ of upTo(3)) stage.pass(MINUTE_MS)
      expect(await client.counts()).toMatchObject({ ready: 1 })
      await stage.hibernate()
      stage.pass(MINUTE_MS)
      await take(client, 1)
      const [first] = await client.gets(1)
      await stage.hibernate()
      stage.pass(MINUTE_MS)
      await client.settle({ ack: [leaseOf(first as Taken)] })
      await stage.hibernate()
      expect(await client.counts()).toMatchObject({ ready: 0, active: 0 })
      stage.pass(MINUTE_MS)

      await client.gets(2)
      expect(ticksOf(client)).toEqual([start + MINUTE_MS, start + 6 * MINUTE_MS])
    })

    promise('a job that waits for another attempt, or that sleeps, is not finished', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS, overlap: 'skip', options: { attempts: 2 } })
      stage.pass(MINUTE_MS)
      await take(client, 1)
      const [first] = await client.gets(1)
      await client.settle({ retry: [{ lease: leaseOf(first as Taken), error: '', delayMs: 5 * MINUTE_MS }] })
      for (const _ of upTo(2)) {
        await stage.hibernate()
        stage.pass(MINUTE_MS)
      }
      expect(await client.counts()).toMatchObject({ ready: 0, retrying: 1 })

      stage.pass(3 * MINUTE_MS)
      await client.settle({ snooze: [{ lease: leaseOf((await client.gets(2))[1] as Taken), ms: 2 * MINUTE_MS }] })
      await stage.hibernate()
      stage.pass(MINUTE_MS)
      expect(await client.counts()).toMatchObject({ ready: 0, scheduled: 1, active: 0 })
      await stage.hibernate()
      stage.pass(MINUTE_MS)
      await client.gets(3)
      // A dead one is finished: nobody works on it.
      await client.settle({ retry: [{ lease: leaseOf(client.taken[2] as Taken), error: '' }] })
      await stage.hibernate()
      stage.pass(MINUTE_MS)

      await client.gets(4)
      expect(await client.counts()).toMatchObject({ dead: 1, active: 1 })
    })

    promise('skip: also where the job was cancelled', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS, overlap: 'skip' })
      stage.pass(MINUTE_MS)
      await client.ask('cancel', { ids: [1] })
      stage.pass(MINUTE_MS)

      expect(await waiting(client)).toEqual([[2, 'data']])
    })

    promise('queue: come one after the other, as the ticks that were missed meanwhile', async (stage) => {
      const client = await stage.connect()
      const start = stage.nowMs
      await take(client, 10)
      await schedule(client, { id: 'each', everyMs: MINUTE_MS, overlap: 'queue', missed: 'all' })
      await schedule(client, { id: 'newest', everyMs: MINUTE_MS, overlap: 'queue', missed: 'last' })
      for (const _ of upTo(3)) stage.pass(MINUTE_MS)
      await stage.hibernate()
      stage.pass(MINUTE_MS)
      await client.gets(2)
      const done: Taken[] = []
      for (let more = true; more; ) {
        const held = client.taken.filter((one) => !done.includes(one))
        expect(new Set(held.map(({ tick }) => tick?.schedule)).size).toBe(held.length)
        await client.settle({ ack: held.map(leaseOf) })
        await client.counts()
        done.push(...held)
        more = held.length > 0
      }

      const of = (id: string) =>
        done.flatMap(({ tick }) => (tick?.schedule === id ? [(tick.at - start) / MINUTE_MS] : []))
      expect(of('each')).toEqual([1, 2, 3, 4])
      expect(of('newest')).toEqual([1, 4])
    })

    promise('cost no row while they wait', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS, overlap: 'queue' })
      stage.pass(MINUTE_MS)
      const { rows } = stage
      for (const _ of upTo(5)) stage.pass(MINUTE_MS)
      await client.counts()

      expect(stage.rows).toBe(rows)
    })
  })

  describe('managing schedules', () => {
    promise('the same ticks again change nothing but what is asked of the jobs', async (stage) => {
      const client = await taker(stage)
      const start = stage.nowMs
      await schedule(client, { everyMs: MINUTE_MS, data: 'before' })
      stage.nowMs += MINUTE_MS / 2
      const { nextAt } = await schedule(client, { everyMs: MINUTE_MS, data: 'after' })

      expect(nextAt).toBe(start + MINUTE_MS)
      stage.pass(MINUTE_MS / 2)
      await client.gets(1)
      expect(client.taken).toMatchObject([{ data: 'after' }])
      expect(await listed(client)).toHaveLength(1)
    })

    promise('other ticks begin now, after those that had come', async (stage) => {
      const client = await taker(stage)
      const start = stage.nowMs
      await schedule(client, { everyMs: MINUTE_MS, data: 'before' })
      stage.nowMs += MINUTE_MS
      const { nextAt } = await schedule(client, { everyMs: HOUR_MS, data: 'after' })
      await client.gets(1)

      expect(client.taken).toMatchObject([{ data: 'before', tick: { at: start + MINUTE_MS } }])
      expect(nextAt).toBe(stage.nowMs + HOUR_MS)
    })

    promise('removes one for good; its jobs are done as all others', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS, overlap: 'skip' })
      stage.pass(MINUTE_MS)

      expect(await client.ask('unschedule', { id: 'nightly' })).toEqual({ removed: true })
      expect(await client.ask('unschedule', { id: 'nightly' })).toEqual({ removed: false })
      await stage.hibernate()
      stage.pass(MINUTE_MS)

      expect(await listed(client)).toEqual([])
      expect(await client.counts()).toMatchObject({ ready: 1 })
    })

    promise('pauses one: ticks that come meanwhile are left out', async (stage) => {
      const client = await taker(stage)
      await schedule(client, { everyMs: MINUTE_MS, missed: 'all' })
      await client.ask('pauseSchedule', { id: 'nightly', paused: true })
      await stage.hibernate()
      for (const _ of upTo(3)) stage.pass(MINUTE_MS)
      expect(await listed(client)).toMatchObject([{ paused: true, jobCount: 0 }])
      await client.ask('pauseSchedule', { id: 'nightly', paused: false })
      await stage.hibernate()
      stage.pass(MINUTE_MS)

      await client.gets(1)
      expect(ticksOf(client)).toEqual([stage.nowMs])
    })

    promise('adds a job by hand, once for each time that it is asked for', async (stage) => {
      const client = await taker(stage)
      await schedule(client, { everyMs: MINUTE_MS, data: 'by hand' })
      stage.nowMs += 10

      expect(await run(client, 'nightly')).toEqual({ job: 1 })
      expect(await run(client, 'nightly')).toEqual({ job: 1 })
      await stage.hibernate()
      expect(await run(client, 'nightly')).toEqual({ job: 1 })
      expect(await run(client, 'nightly', 'another_run')).toEqual({ job: 2 })
      await client.gets(2)
      expect(client.taken[0]).toMatchObject({ data: 'by hand', tick: { schedule: 'nightly', at: stage.nowMs } })
      stage.pass(MINUTE_MS - 10)

      await client.gets(3)
      expect(await listed(client)).toMatchObject([{ jobCount: 3, lastJob: 3, lastAt: stage.nowMs }])
    })

    promise('adds none by hand beside one that is not finished, where they may not overlap', async (stage) => {
      const client = await stage.connect()
      await schedule(client, { everyMs: MINUTE_MS, overlap: 'skip' })

      expect(await run(client, 'nightly')).toEqual({ job: 1 })
      expect(await run(client, 'nightly', 'another_run')).toEqual({})
      stage.pass(MINUTE_MS)
      expect(await client.counts()).toMatchObject({ ready: 1 })
    })

    promise('lists them by their ids, page by page', async (stage) => {
      const client = await stage.connect()
      const large = 'x'.repeat(LIMITS.scheduleBytes - 2)
      const ids = upTo(60).map((n) => `s${String(n).padStart(2, '0')}`)
      for (const id of ids.toReversed()) await schedule(client, { id, everyMs: MINUTE_MS, data: large })

      const found: string[] = []
      for (let after: string | undefined, pages = 0; ; pages++) {
        const page = await client.ask<SchedulesResult>('schedules', { ...(after && { after }) })
        found.push(...page.schedules.map(({ id }) => id))
        after = page.next
        if (after !== undefined) continue
        expect(pages).toBeGreaterThan(0)
        break
      }
      expect(found).toEqual(ids)
    })

    promise('says what it keeps of one', async (stage) => {
      const client = await stage.connect()
      const plan = { cron: '0 3 * * *', timeZone: 'America/New_York', missed: 'all', overlap: 'queue' } as const
      await schedule(client, { ...plan, description: 'The report', data: [1], options: { priority: 7 } })
      await stage.hibernate()

      expect(await listed(client)).toEqual([
        {
          ...{ id: 'nightly', plan: { ...plan, description: 'The report' }, data: '[1]', options: { priority: 7 } },
          ...{ paused: false, jobCount: 0, nextAt: utc('2027-01-15T08:00') + 24 * HOUR_MS },
        },
      ])
    })
  })

  describe('rights to schedules', () => {
    const as = (...rights: (keyof typeof RIGHTS)[]) => ({
      identity: { ...ANA, rights: rights.reduce((mask, right) => mask | RIGHTS[right], 0) },
    })

    promise('to manage them, to see them, and to see their payloads', async (stage) => {
      await schedule(await stage.connect(as('change')), { everyMs: MINUTE_MS, data: 'secret' })
      const viewer = await stage.connect(as('view', 'enqueue', 'work'))
      const { written } = stage
      written.length = 0

      const refused = { code: 'forbidden' }
      await expect(schedule(viewer, { everyMs: MINUTE_MS })).rejects.toMatchObject(refused)
      await expect(run(viewer, 'nightly')).rejects.toMatchObject(refused)
      await expect(viewer.ask('unschedule', { id: 'nightly' })).rejects.toMatchObject(refused)
      await expect(viewer.ask('pauseSchedule', { id: 'nightly', paused: true })).rejects.toMatchObject(refused)
      await expect(listed(await stage.connect(as('change')))).rejects.toMatchObject(refused)
      expect((await listed(viewer))[0]).not.toHaveProperty('data')
      expect((await listed(await stage.connect(as('view', 'peek'))))[0]).toMatchObject({ data: '"secret"' })
      expect(written).toEqual([])
    })
  })

  describe('bounds of schedules', () => {
    promise('what cannot be kept is refused, and says why', async (stage) => {
      const client = await stage.connect()
      const refused = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) })
      const bad = (message: RegExp) => refused('bad_schedule', message)

      await expect(schedule(client, {})).rejects.toMatchObject(bad(/one of the two/))
      await expect(schedule(client, { cron: 'soon' })).rejects.toMatchObject(bad(/^cron: /))
      await expect(schedule(client, { cron: '0 0 30 2 *' })).rejects.toMatchObject(bad(/no tick/))
      await expect(schedule(client, { cron: '@daily', timeZone: 'Moon' })).rejects.toMatchObject(bad(/^timeZone: /))
      await expect(schedule(client, { id: 'a b', everyMs: 1_000 })).rejects.toMatchObject({ code: 'bad_params' })
      await expect(schedule(client, { id: '', everyMs: 1_000 })).rejects.toMatchObject({ code: 'bad_params' })
      await expect(
        schedule(client, { everyMs: 1_000, data: 'ü'.repeat(LIMITS.scheduleBytes - 3) }),
      ).rejects.toMatchObject(refused('message_too_large', /bytes/))
      await expect(run(client, 'nightly')).rejects.toMatchObject({ code: 'unknown_schedule' })
      const params = { id: 'nightly', plan: { everyMs: 1_000, missed: 'last', overlap: 'allow' } }
      for (const data of ['{', '[1,\n2]', '"\\ud800"'])
        await expect(client.ask('schedule', { ...params, data })).rejects.toMatchObject({ code: 'bad_payload' })
      expect(await listed(client)).toEqual([])
    })

    promise('of how many there are', async (stage) => {
      const client = await stage.connect()
      for (const n of upTo(LIMITS.schedulesPerQueue)) await schedule(client, { id: `s${n}`, everyMs: HOUR_MS })

      await expect(schedule(client, { everyMs: HOUR_MS })).rejects.toMatchObject({ code: 'too_many_schedules' })
      await schedule(client, { id: 's7', everyMs: MINUTE_MS })
      await client.ask('unschedule', { id: 's8' })
      await schedule(client, { everyMs: HOUR_MS })
    })
  })

  describe('whatever happens to the home', () => {
    promise('every tick comes once: patterns, zones, restarts, late alarms and clocks at random', async (stage) => {
      // Repeated by writing it here.
      const seed = Math.floor(Math.random() * 2 ** 32)
      const random = new Random(seed)
      const number = (first: number, last: number) => random.between(first, last)
      stage.nowMs = utc(
        random.pick([
          '2027-03-13T12:00',
          '2027-03-27T12:00',
          '2027-10-02T06:00',
          '2027-10-30T12:00',
          '2027-11-06T12:00',
        ]),
      )
      const begin = stage.nowMs
      const plans = upTo(4).map((n): Asked & { id: string } => ({
        id: `s${n}`,
        missed: 'all',
        overlap: 'allow',
        ...random.pick([
          () => ({ everyMs: number(5, 90) * MINUTE_MS }),
          () => ({ cron: `*/${number(7, 30)} * * * *`, timeZone: random.pick(ZONES) }),
          () => ({ cron: `${number(0, 59)} ${number(0, 3)} * * *`, timeZone: random.pick(ZONES) }),
          () => ({ cron: `${number(0, 59)} */${number(1, 6)} * * *`, timeZone: random.pick(ZONES) }),
        ])(),
      }))
      let client = await stage.connect()
      for (const plan of plans) await schedule(client, plan)
      let latest = stage.nowMs
      for (let i = 0; i < 40; i++) {
        stage.nowMs +=
          random.pick([1, MINUTE_MS, 20 * MINUTE_MS, 3 * HOUR_MS, -MINUTE_MS, -2 * HOUR_MS]) + number(0, 59_999)
        latest = Math.max(latest, stage.nowMs)
        await random.pick([
          async () => stage.home.due(),
          async () => {
            await stage.restart()
            client = await stage.connect()
          },
          async () => stage.hibernate(),
          async () => void (await client.counts()),
          // Nothing at all hears of it.
          async () => {},
        ])()
      }
      stage.nowMs = latest
      await stage.restart()
      client = await taker(stage)

      const expected = plans.map(({ cron, timeZone, everyMs }) =>
        everyMs === undefined
          ? cronTicks(cron as string, timeZone as string, { from: begin, to: latest })
          : upTo(Math.floor((latest - begin) / everyMs)).map((n) => begin + n * everyMs),
      )
      await client.until(() => client.taken.length >= expected.flat().length)
      expect(await client.counts(), `seed ${seed}`).toMatchObject({ ready: 0 })
      for (const [i, { id, cron, timeZone, everyMs }] of plans.entries()) {
        const came = client.taken.flatMap(({ tick }) => (tick?.schedule === id ? [tick.at] : []))
        expect(came, `seed ${seed}: ${cron ?? everyMs} in ${timeZone}`).toEqual(expected[i])
      }
    })
  })
}

const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'UTC']

/**
 * The ticks as they are told of, found the long way: minute by minute, by what the clocks of the zone show. A single time of day comes at its
 * first minute, or when the gap that swallows it is over; everything else whenever clocks show it.
 */
function cronTicks(cron: string, timeZone: string, { from, to }: { from: number; to: number }): number[] {
  const [minutes = '', hours = ''] = cron.split(' ')
  const single = /^\d+$/.test(minutes) && /^\d+$/.test(hours)
  const shown = new Intl.DateTimeFormat('en-GB', { timeZone, day: 'numeric', hour: 'numeric', minute: 'numeric' })
  const clock = (at: number) => {
    const parts = new Map(shown.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
    return { day: parts.get('day'), minute: (parts.get('hour') as number) * 60 + (parts.get('minute') as number) }
  }
  const matches = (field: string, value: number): boolean =>
    field === '*' || (field.startsWith('*/') ? value % Number(field.slice(2)) === 0 : Number(field) === value)
  const ticks: number[] = []
  let doneDay: number | undefined
  const first = Math.floor(from / MINUTE_MS) * MINUTE_MS - 2 * HOUR_MS
  let before = clock(first - MINUTE_MS)
  for (let at = first; at <= to; at += MINUTE_MS) {
    const now = clock(at)
    const wanted = Number(hours) * 60 + Number(minutes)
    const swallowed = now.day === before.day && before.minute < wanted && wanted < now.minute
    const hit = single
      ? (now.minute === wanted || swallowed) && doneDay !== now.day
      : matches(minutes, now.minute % 60) && matches(hours, Math.floor(now.minute / 60))
    if (hit) doneDay = now.day
    if (hit && at > from) ticks.push(at)
    before = now
  }
  return ticks
}
