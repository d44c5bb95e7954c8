import { randomName } from '../platform.ts'
import type { JobOptions, ScheduleResult } from '../protocol/frames/queue.ts'
import type {
  RunScheduleResult,
  ScheduleFacts,
  SchedulesResult,
  UnscheduleResult,
} from '../protocol/frames/schedules.ts'
import type { EnqueueOptions } from './queue.ts'
import type { QueueSide } from './queue-side.ts'

/** When jobs are to be added. */
export interface ScheduleOptions {
  /** A pattern of 5 to 7 fields, such as `0 3 * * *` or `0 9 * * MON-FRI`, or `@daily`; or a period instead. */
  readonly cron?: string
  /** A period in ms, 100 at least, counted from `startAt` or from when the schedule was made. */
  readonly everyMs?: number
  /** Of `cron`: the zone whose clocks count, such as `Europe/Berlin`. Default UTC. */
  readonly timeZone?: string
  /**
   * Ticks that came while the queue's home could not work: `skip` leaves them out, `last` makes up for the newest, `all` for each of them,
   * the newest 1,000 at most. A tick counts as missed when it is a minute late, or when the next one has come, too. Default `last`.
   */
  readonly missed?: 'skip' | 'last' | 'all'
  /**
   * A tick that comes while the job of an earlier one is not finished (done, cancelled or dead): `allow` adds its job, `skip` passes it
   * over, `queue` lets it wait until that one is finished, when it counts as missed, so that jobs come strictly one after another.
   * Default `allow`.
   */
  readonly overlap?: 'allow' | 'skip' | 'queue'
  /** For people; 500 characters at most. */
  readonly description?: string
  /** No tick before, and none after. */
  readonly startAt?: Date
  readonly endAt?: Date
}

/** What is asked of each of the jobs. Their time is the tick's. */
export type TickOptions = Omit<EnqueueOptions, 'delayMs' | 'runAt' | 'dedupe'>

/** A schedule as it can be looked at. */
export interface Schedule extends ScheduleOptions {
  readonly id: string
  readonly missed: 'skip' | 'last' | 'all'
  readonly overlap: 'allow' | 'skip' | 'queue'
  /** `undefined` where one may not see it. */
  readonly data: unknown
  readonly paused: boolean
  /** `undefined` where no job comes any more, or while it is paused. */
  readonly nextAt: Date | undefined
  /** The tick that has added the newest job, and that job. */
  readonly lastAt: Date | undefined
  readonly lastJob: number | undefined
  /** How many jobs it has added. */
  readonly jobCount: number
}

export interface Schedules<I> {
  /**
   * Make a schedule, or change it. One that has the same ticks already goes on as it is, so a program can say at each start what it wants;
   * other ticks begin now. Its ticks add each job once, whatever becomes of clients, servers and clocks.
   * @param id 1 to 128 letters, digits and any of `_ . : / -`
   * @param data the payload of every job, 16 KiB at most
   * @returns when the first job comes
   * @throws {MessError} as a rejection: `bad_schedule`, whose message says what is wrong; `too_many_schedules`, `message_too_large`
   */
  upsert(
    id: string,
    options: ScheduleOptions,
    data: I,
    jobOptions?: TickOptions,
  ): Promise<{ readonly nextAt: Date | undefined }>
  /** All of them, by their ids. */
  list(): Promise<Schedule[]>
  /** No further ticks; jobs that were added are done as all others. @returns whether there was one */
  remove(id: string): Promise<boolean>
  /**
   * Add a job now, beside the ticks: one, also where the link breaks and it has to be asked for again, as long as no more than 8 of these
   * calls wait. @returns its id; `undefined` where jobs may not overlap, and one is not finished
   * @throws {MessError} as a rejection: `unknown_schedule`
   */
  runNow(id: string): Promise<number | undefined>
  /** Ticks from now until `resume()` add no job, and are not made up for. */
  pause(id: string): Promise<void>
  resume(id: string): Promise<void>
}

/** What a queue knows of its jobs. */
interface Parts<I> {
  readonly lineOf: (data: I) => string
  readonly wireOptions: (options: EnqueueOptions) => JobOptions
}

export function schedulesOf<I>(side: QueueSide, { lineOf, wireOptions }: Parts<I>): Schedules<I> {
  const setPaused = async (id: string, paused: boolean): Promise<void> => {
    await side.answer('pauseSchedule', { id, paused })
  }
  return {
    async upsert(id, { missed = 'last', overlap = 'allow', startAt, endAt, ...timing }, data, jobOptions = {}) {
      const plan = { ...timing, missed, overlap, startAt: startAt?.getTime(), endAt: endAt?.getTime() }
      const params = { id, plan, options: wireOptions(jobOptions), data: lineOf(data) }
      const { nextAt } = await side.answer<ScheduleResult>('schedule', params)
      return { nextAt: dateOf(nextAt) }
    },
    async list() {
      const all: ScheduleFacts[] = []
      for (let after: string | undefined; ; ) {
        const page = await side.answer<SchedulesResult>('schedules', { after })
        all.push(...page.schedules)
        after = page.next
        if (after === undefined) return all.map(scheduleOf)
      }
    },
    remove: async (id) => (await side.answer<UnscheduleResult>('unschedule', { id })).removed,
    runNow: async (id) => (await side.answer<RunScheduleResult>('runSchedule', { id, run: randomName() })).job,
    pause: (id) => setPaused(id, true),
    resume: (id) => setPaused(id, false),
  }
}

const dateOf = (at: number | undefined): Date | undefined => (at === undefined ? undefined : new Date(at))

function scheduleOf({ id, plan, data, paused, nextAt, lastAt, lastJob, jobCount }: ScheduleFacts): Schedule {
  const { startAt, endAt, ...given } = plan
  return {
    ...(given as Pick<Schedule, 'cron' | 'everyMs' | 'timeZone' | 'missed' | 'overlap' | 'description'>),
    ...(startAt !== undefined && { startAt: new Date(startAt) }),
    ...(endAt !== undefined && { endAt: new Date(endAt) }),
    id,
    data: data === undefined ? undefined : JSON.parse(data),
    paused,
    nextAt: dateOf(nextAt),
    lastAt: dateOf(lastAt),
    lastJob,
    jobCount,
  }
}
