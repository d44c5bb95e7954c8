import { expect, it } from 'vitest'
import type { Plan } from '../protocol/frames/schedules.ts'
import { Schedules } from './schedules.ts'

/** As it was written by a version, or on a machine, that could read its times. */
function stored(id: string, plan: Partial<Plan>) {
  const times = { missed: 'last', overlap: 'allow', ...plan } as const
  const rest = { options: {}, body: '7', madeAt: 0, paused: false, next: 60_000, reached: 0, jobCount: 0, runs: [] }
  return { id, stored: { plan: times, ...rest } }
}

it('a schedule whose times cannot be read any more stands still, and stops no other', () => {
  const unknown = [
    stored('zone', { cron: '* * * * *', timeZone: 'Mars/Olympus_Mons' }),
    stored('cron', { cron: 'now' }),
  ]
  const schedules = new Schedules([...unknown, stored('good', { everyMs: 60_000 })], () => false)

  const ticks = [1, 2, 3, 4].map(() => schedules.take(90_000))

  // The one that was known is not lost.
  expect(ticks.map((tick) => tick && [tick.schedule.id, tick.sequence])).toEqual([
    ['zone', 60_000],
    ['cron', 60_000],
    ['good', 60_000],
    undefined,
  ])
  expect(schedules.nextAt).toBe(120_000)
})
