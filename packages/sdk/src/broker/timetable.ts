import { Cron } from 'croner'
import { type Fault, fault } from '../protocol/error-codes.ts'
import type { Timing } from '../protocol/frames/schedules.ts'
import { LIMITS } from '../protocol/limits.ts'

/** Moments in ms since 1970. */
export interface Timetable {
  /** The first tick behind a moment. */
  after(at: number): number | undefined
  /** The last tick before a moment. */
  before(at: number): number | undefined
}

/** The end of the year 9999, behind which no calendar goes. */
const LAST_AT = 253_402_300_799_999

/**
 * The ticks of a schedule. Patterns are read, and clocks put forward and back, as croner says: where the clock is put forward, a single
 * time of day that does not exist comes right behind the gap; where it is put back, it comes once, the first time. Everything else that a
 * pattern asks for (every hour, every 15 minutes) goes on through the repeated hour, and leaves out what does not exist.
 *
 * Made when it is needed and not kept: a pattern that was read takes 100 kB.
 * @param madeAt when a schedule of a period began, unless it says so itself
 * @throws {Error} for a pattern that cannot be read or a zone that does not exist
 */
export function timetable(timing: Timing, madeAt: number): Timetable {
  const { startAt = 0, endAt = LAST_AT } = timing
  const { after, before } = timing.everyMs === undefined ? byCron(timing) : byPeriod(timing.everyMs, timing, madeAt)
  return {
    after(at) {
      const tick = after(Math.max(at, startAt - 1))
      return tick !== undefined && tick <= endAt ? tick : undefined
    },
    before(at) {
      const tick = before(Math.min(at, endAt + 1))
      return tick !== undefined && tick >= startAt ? tick : undefined
    },
  }
}

function byPeriod(everyMs: number, { startAt }: Timing, madeAt: number): Timetable {
  const first = startAt ?? madeAt + everyMs
  return {
    after: (at) => (at < first ? first : first + (Math.floor((at - first) / everyMs) + 1) * everyMs),
    before: (at) => (at <= first ? undefined : first + Math.floor((at - 1 - first) / everyMs) * everyMs),
  }
}

function byCron({ cron = '', timeZone = 'UTC' }: Timing): Timetable {
  // It would take a date for a pattern that matches once.
  if (cron.includes(':')) throw new Error('a pattern of 5 to 7 fields is needed')
  // One name for all ways to write it, since croner keeps something for each.
  const { timeZone: timezone } = new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions()
  const pattern = new Cron(cron, { timezone })
  return {
    after: (at) => pattern.nextRun(new Date(at))?.getTime(),
    before: (at) => pattern.previousRuns(1, new Date(at))[0]?.getTime(),
  }
}

/** What is wrong with it, if anything is. */
export function timingFault(timing: Timing, nowMs: number): Fault | undefined {
  const { cron, everyMs, timeZone, startAt = 0, endAt = LAST_AT } = timing
  if ((cron === undefined) === (everyMs === undefined)) return wrong('cron or everyMs: one of the two is needed')
  if (
    everyMs !== undefined &&
    !(Number.isSafeInteger(everyMs) && everyMs >= LIMITS.everyMs && everyMs <= LIMITS.delayMs)
  )
    return wrong(`everyMs: a whole number of ms, from ${LIMITS.everyMs} to ${LIMITS.delayMs}`)
  if (everyMs !== undefined && timeZone !== undefined) return wrong('timeZone: a period has none, only cron has')
  if (!isMoment(startAt)) return wrong('startAt: not a moment before the year 10000')
  if (!isMoment(endAt)) return wrong('endAt: not a moment before the year 10000')
  if (startAt > endAt) return wrong('endAt: comes before startAt')
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch {
    return wrong('timeZone: not a time zone that is known here, such as Europe/Berlin')
  }
  try {
    if (timetable(timing, nowMs).after(nowMs) === undefined) return wrong('no tick would ever come')
  } catch (error) {
    return wrong(`cron: ${error instanceof Error ? error.message.replace(/^\w+: /, '') : 'cannot be read'}`)
  }
  return undefined
}

const isMoment = (at: number): boolean => Number.isSafeInteger(at) && at >= 0 && at <= LAST_AT
const wrong = (why: string): Fault => fault('bad_schedule', why)
