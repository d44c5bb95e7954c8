import * as v from 'valibot'
import { LIMITS } from '../limits.ts'
import { SCHEDULE_ID } from '../schedule-id.ts'
import { Count, Positive, PublisherId, TopicName } from './scalars.ts'

/**
 * The frames of a queue's schedules. Here stands what hostile input may be made of; whether a schedule makes sense (a pattern that can be
 * read, a zone that exists, a tick that comes) is judged by the home, in `timetable.ts`.
 */

const short = (chars: number) => v.pipe(v.string(), v.maxLength(chars))

export const ScheduleId = v.pipe(v.string(), v.regex(SCHEDULE_ID), v.maxLength(LIMITS.scheduleIdChars))

/** When its ticks are. Times are in ms since 1970. */
export const Timing = v.object({
  /** One of the two. */
  cron: v.optional(short(LIMITS.cronChars)),
  everyMs: v.optional(Positive),
  /** Of a cron pattern; UTC if it is left out. */
  timeZone: v.optional(short(LIMITS.timeZoneChars)),
  /** No tick before, and none after. */
  startAt: v.optional(Count),
  endAt: v.optional(Count),
})

export const Plan = v.object({
  ...Timing.entries,
  /** Ticks that came while the home could not work: none of them, the newest, or all of them (`catchUpTicks` at most). */
  missed: v.picklist(['skip', 'last', 'all']),
  /** A tick that comes while the job of an earlier one is not finished: adds its job, is passed over, or waits. */
  overlap: v.picklist(['allow', 'skip', 'queue']),
  description: v.optional(short(LIMITS.scheduleDescriptionChars)),
})

/** A schedule without the options of its jobs. `data` is their payload as JSON text, in one line. */
export const Scheduled = v.object({ id: ScheduleId, plan: Plan, data: short(LIMITS.scheduleBytes) })
/** Client → broker: a page of the schedules, by their ids. */
export const SchedulesParams = v.object({ queue: TopicName, after: v.optional(ScheduleId) })
export const ScheduleFacts = v.object({
  id: ScheduleId,
  plan: Plan,
  /** As in `schedule`. */
  options: v.optional(v.unknown()),
  /** Left out where the user may not see it. */
  data: v.optional(v.string()),
  paused: v.boolean(),
  nextAt: v.optional(Count),
  /** The newest tick that has added a job, and that job; how many jobs it has added. */
  lastAt: v.optional(Count),
  lastJob: v.optional(Positive),
  jobCount: Count,
})
/** `next`: `after` of the next page; left out on the last one. */
export const SchedulesResult = v.object({ schedules: v.array(ScheduleFacts), next: v.optional(ScheduleId) })

/** Client → broker: no further ticks. Jobs that were added are done as all others. */
export const UnscheduleParams = v.object({ queue: TopicName, id: ScheduleId })
export const UnscheduleResult = v.object({ removed: v.boolean() })

/** Client → broker: ticks from now until it goes on add no job. */
export const PauseScheduleParams = v.object({ queue: TopicName, id: ScheduleId, paused: v.boolean() })

export const PauseScheduleResult = v.object({})

/** Client → broker: add one job now. `run` names the request, so that it can be sent again. */
export const RunScheduleParams = v.object({ queue: TopicName, id: ScheduleId, run: PublisherId })
/** Left out where the schedule lets no two of its jobs overlap, and one is not finished. */
export const RunScheduleResult = v.object({ job: v.optional(Positive) })

export const SCHEDULE_REQUESTS = {
  schedules: SchedulesParams,
  unschedule: UnscheduleParams,
  pauseSchedule: PauseScheduleParams,
  runSchedule: RunScheduleParams,
} as const

export type Timing = v.InferOutput<typeof Timing>
export type Plan = v.InferOutput<typeof Plan>
export type ScheduleFacts = v.InferOutput<typeof ScheduleFacts>
export type SchedulesResult = v.InferOutput<typeof SchedulesResult>
export type UnscheduleResult = v.InferOutput<typeof UnscheduleResult>
export type RunScheduleResult = v.InferOutput<typeof RunScheduleResult>
