import * as v from 'valibot'
import { afterEach, describe, expect, it } from 'vitest'
import { createMess, type Mess } from '../../packages/sdk/src/index.ts'
import { createQueue, type Job, type QueueOptions } from '../../packages/sdk/src/queue.ts'

/** Schedules as an application sees them; what ticks do is told by the suite of homes. */
const clients: Mess[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((mess) => mess.close()))
})

function open<I = unknown, O = I>(options: QueueOptions<I, O> = {}) {
  const mess = createMess({ storage: 'memory', tabs: false })
  clients.push(mess)
  return createQueue<I, O>(mess, 'reports', options)
}

describe('schedules of a queue', () => {
  it('hand jobs to handlers when their time comes, one after the other', async () => {
    const queue = open<{ report: string }>()
    const plan = { everyMs: 100, startAt: new Date(0), missed: 'all' } as const
    const jobs: Job<{ report: string }>[] = []
    const three = Promise.withResolvers<void>()
    const worker = queue.work((job) => {
      if (jobs.push(job) === 3) three.resolve()
    })

    const { nextAt = new Date(0) } = await queue.schedules.upsert('soon', plan, { report: 'sales' }, { priority: 9 })
    await three.promise
    await worker.stop()

    expect(jobs.map(({ data, tick }) => [data, tick?.schedule, (tick?.at.getTime() ?? 0) - nextAt.getTime()])).toEqual([
      [{ report: 'sales' }, 'soon', 0],
      [{ report: 'sales' }, 'soon', 100],
      [{ report: 'sales' }, 'soon', 200],
    ])
  })

  it('can be listed, paused, run by hand and removed', async () => {
    const queue = open()
    const startAt = new Date('2100-01-01')
    const plan = { cron: '0 3 * * *', timeZone: 'Europe/Berlin', description: 'Sales of the day', startAt } as const
    const { nextAt } = await queue.schedules.upsert('sales', plan, [1], { attempts: 2 })
    await queue.schedules.upsert('all', { everyMs: 60_000, missed: 'skip', overlap: 'queue' }, null)

    expect(nextAt).toEqual(new Date('2100-01-01T02:00:00Z'))
    const rest = { paused: false, lastAt: undefined, lastJob: undefined, jobCount: 0 }
    expect(await queue.schedules.list()).toEqual([
      { id: 'all', everyMs: 60_000, missed: 'skip', overlap: 'queue', data: null, ...rest, nextAt: expect.any(Date) },
      { id: 'sales', ...plan, missed: 'last', overlap: 'allow', data: [1], ...rest, nextAt },
    ])
    await queue.schedules.pause('sales')
    expect((await queue.schedules.list())[1]).toMatchObject({ paused: true, nextAt: undefined })
    await queue.schedules.resume('sales')
    expect((await queue.schedules.list())[1]).toMatchObject({ paused: false, nextAt })
    const job = await queue.schedules.runNow('sales')
    expect((await queue.schedules.list())[1]).toMatchObject({ jobCount: 1, lastJob: job })
    expect((await queue.list('ready')).jobs).toMatchObject([{ id: job, data: [1] }])
    expect(await queue.schedules.remove('sales')).toBe(true)
    expect(await queue.schedules.remove('sales')).toBe(false)
    expect(await queue.schedules.list()).toHaveLength(1)
  })

  it('that make no sense are refused, and the error says why', async () => {
    const queue = open({ schema: v.object({ report: v.string() }) })
    const { schedules } = queue
    const report = { report: 'sales' }
    const bad = (message: RegExp) => ({
      code: 'bad_schedule',
      retryable: false,
      message: expect.stringMatching(message),
    })

    await expect(schedules.upsert('x', { cron: '0 25 * * *' }, report)).rejects.toMatchObject(bad(/hour: 25/))
    await expect(schedules.upsert('x', { cron: '0 0 31 6 *' }, report)).rejects.toMatchObject(bad(/no tick/))
    await expect(schedules.upsert('x', { everyMs: 5 }, report)).rejects.toMatchObject(bad(/everyMs/))
    await expect(schedules.upsert('x y', { everyMs: 500 }, report)).rejects.toMatchObject(bad(/^id/))
    await expect(schedules.upsert('x', { cron: '@daily', timeZone: 'Atlantis' }, report)).rejects.toMatchObject(
      bad(/zone/),
    )
    await expect(schedules.upsert('x', { everyMs: 500, startAt: new Date(Number.NaN) }, report)).rejects.toMatchObject(
      bad(/startAt/),
    )
    await expect(schedules.upsert('x', { everyMs: 500, overlap: 'never' as 'skip' }, report)).rejects.toMatchObject(
      bad(/overlap/),
    )
    await expect(schedules.upsert('x', { everyMs: 500 }, {} as typeof report)).rejects.toMatchObject({
      name: 'SchemaError',
    })
    await expect(schedules.upsert('x', { everyMs: 500 }, { report: 'x'.repeat(17_000) })).rejects.toMatchObject({
      code: 'message_too_large',
    })
    await expect(schedules.runNow('x')).rejects.toMatchObject({ code: 'unknown_schedule' })
    expect(await schedules.list()).toEqual([])
  })
})
