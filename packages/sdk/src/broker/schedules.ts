import type { Plan, ScheduleFacts } from '../protocol/frames/schedules.ts'
import { LIMITS } from '../protocol/limits.ts'
import { CLAIMABLE, type Job } from './job.ts'
import type { Allowed } from './rights.ts'
import { type Timetable, timetable } from './timetable.ts'

/** What a schedule asks of its jobs. */
type Options = Readonly<Record<string, unknown>>

/** A schedule as its one row has it. */
interface Stored {
  readonly plan: Plan
  readonly options: Options
  /** The payload's text. */
  readonly body: string
  /** Since when its ticks are these. */
  readonly madeAt: number
  readonly paused: boolean
  /** The next tick that nothing was decided about; left out where none comes. */
  readonly next?: number
  /** No tick up to here is decided about again, whatever becomes of the clock. */
  readonly reached: number
  readonly last?: readonly [tickAt: number, job: number]
  readonly jobCount: number
  /** Where the job lies that no other one may overlap, if there is one. */
  readonly open?: Place
  /** The newest requests to run it by hand, and their jobs. */
  readonly runs: readonly (readonly [run: string, job: number])[]
}

type Place = readonly [lane: number, due: number, id: number]

/** The row of a schedule, and the job that it waits for. */
export interface ScheduleRow {
  readonly id: string
  readonly stored: Stored
}

interface Schedule extends Omit<{ -readonly [K in keyof Stored]: Stored[K] }, 'next' | 'open'> {
  readonly id: string
  next: number | undefined
  open: Place | undefined
  /** Ticks whose time has come, oldest first; `next` lies behind them. */
  pending: number[]
}

/** A job that is to be added: of the tick at this time, or by hand. */
export interface Tick {
  readonly options: Options
  readonly body: string
  /** Whom the job is from, and as which of theirs: 0 by hand. */
  readonly by: string
  readonly sequence: number
  readonly schedule: Schedule
}

const ROW = 's:'
const NEVER = Number.POSITIVE_INFINITY

/** Like a publisher's key, with a user that no issuer has and a name that no publisher may have. */
const publisherOf = (id: string): string => `schedule:${id}.`

/** Whether a job is from a schedule. Marks are not needed for those: their row is written with their schedule's. */
export const isTick = (by: string): boolean => by.endsWith('.')

/** The schedule that a job is from, and the tick that it is for; by hand that is when it was asked for. */
export function tickOf({ by, sequence, at }: Job): { schedule: string; at: number } {
  return { schedule: by.slice('schedule:'.length, -1), at: sequence || at }
}

export function readSchedule(name: string, fact: unknown): ScheduleRow | undefined {
  return name.startsWith(ROW) ? { id: name.slice(ROW.length), stored: fact as Stored } : undefined
}

/** Where the job lies that must be looked for, before a schedule can go on. */
export function openOf({ stored: { open } }: ScheduleRow): { lane: number; due: number; id: number }[] {
  return open ? [{ lane: open[0], due: open[1], id: open[2] }] : []
}

/**
 * The schedules of a queue: which ticks have come and what is to become of each. What was decided about a tick is written in the commit
 * that has its job, as one row that also says which tick is the next; so a tick has one job at most, whatever is lost or comes late, and
 * however the clock is put.
 */
export class Schedules {
  readonly #all = new Map<string, Schedule>()
  /** Those that wait for a job, by that job. */
  readonly #open = new Map<number, Schedule>()
  readonly #changed = new Map<string, Schedule | undefined>()
  #nextAt: number | undefined

  /** @param isLeft whether there still is a job that had been added and not finished */
  constructor(rows: readonly ScheduleRow[], isLeft: (job: number) => boolean) {
    for (const { id, stored } of rows) {
      const open = stored.open && isLeft(stored.open[2]) ? stored.open : undefined
      const schedule: Schedule = { ...stored, id, next: stored.next, open, pending: [] }
      this.#all.set(id, schedule)
      if (open) this.#open.set(open[2], schedule)
    }
  }

  get dirty(): boolean {
    return this.#changed.size > 0
  }

  /** When there is something to do. */
  get nextAt(): number {
    if (this.#nextAt === undefined) {
      this.#nextAt = NEVER
      for (const schedule of this.#all.values()) this.#nextAt = Math.min(this.#nextAt, dueAt(schedule))
    }
    return this.#nextAt
  }

  // ---- ticks

  /** The next job to be added, if the time of one has come. */
  take(nowMs: number): Tick | undefined {
    while (this.nextAt <= nowMs) {
      const schedule = this.#first()
      if (schedule.pending.length === 0) catchUp(schedule, nowMs)
      const at = schedule.pending.shift()
      this.#touch(schedule)
      if (at === undefined) continue
      schedule.reached = Math.max(schedule.reached, at)
      if (schedule.open && schedule.plan.overlap === 'skip') continue
      return tickFor(schedule, at)
    }
    return undefined
  }

  #first(): Schedule {
    for (const schedule of this.#all.values()) if (dueAt(schedule) <= this.nextAt) return schedule
    throw new Error('no schedule is due')
  }

  /** The job of a tick stands. */
  added({ schedule, sequence }: Tick, { id, lane, due, at }: Job): void {
    schedule.last = [sequence || at, id]
    schedule.jobCount++
    if (schedule.plan.overlap !== 'allow') this.#setOpen(schedule, [lane, due, id])
    this.#touch(schedule)
  }

  /** A job has another place: whoever wakes must find it there. */
  moved({ id, lane, due }: Job): void {
    const schedule = this.#open.get(id)
    if (!schedule) return
    if (lane < CLAIMABLE) this.#setOpen(schedule, [lane, due, id])
    else this.#setOpen(schedule, undefined)
    this.#touch(schedule)
  }

  /** A job is over. Nothing is written: whoever wakes will not find it. */
  ended({ id }: Job): void {
    const schedule = this.#open.get(id)
    if (schedule) this.#setOpen(schedule, undefined)
  }

  #setOpen(schedule: Schedule, open: Place | undefined): void {
    if (schedule.open) this.#open.delete(schedule.open[2])
    schedule.open = open
    if (open) this.#open.set(open[2], schedule)
    this.#nextAt = undefined
  }

  // ---- managing

  has(id: string): boolean {
    return this.#all.has(id)
  }

  get size(): number {
    return this.#all.size
  }

  /** Whether a schedule has these ticks already. */
  keeps(id: string, plan: Plan): boolean {
    const known = this.#all.get(id)
    return known !== undefined && timingOf(known.plan) === timingOf(plan)
  }

  /** One that is there goes on where it is, unless its ticks are others now. @returns when the next one comes */
  upsert(
    _: Allowed<'change'>,
    id: string,
    { plan, options, body }: Pick<Stored, 'plan' | 'options' | 'body'>,
    nowMs: number,
  ): number | undefined {
    const known = this.#all.get(id)
    const schedule: Schedule = known ?? {
      ...{ id, plan, options, body, madeAt: nowMs, paused: false, next: undefined, reached: 0, jobCount: 0 },
      ...{ open: undefined, runs: [], pending: [] },
    }
    const same = this.keeps(id, plan)
    Object.assign(schedule, { plan, options, body })
    if (plan.overlap === 'allow') this.#setOpen(schedule, undefined)
    if (!same) {
      schedule.madeAt = nowMs
      restart(schedule, nowMs)
    }
    this.#all.set(id, schedule)
    this.#touch(schedule)
    return schedule.paused ? undefined : (schedule.pending[0] ?? schedule.next)
  }

  remove(_: Allowed<'change'>, id: string): boolean {
    const schedule = this.#all.get(id)
    if (!schedule) return false
    this.#setOpen(schedule, undefined)
    this.#all.delete(id)
    this.#changed.set(id, undefined)
    return true
  }

  /** Ticks that come while it is paused are left out. */
  pause(_: Allowed<'change'>, id: string, paused: boolean, nowMs: number): void {
    const schedule = this.#all.get(id)
    if (!schedule || schedule.paused === paused) return
    schedule.paused = paused
    if (!paused) restart(schedule, nowMs)
    this.#touch(schedule)
  }

  /** What is to be added by hand, unless it was already, or nothing may be added now. */
  byHand(_: Allowed<'change'>, id: string, run: string): Tick | { readonly job: number | undefined } {
    const schedule = this.#all.get(id)
    const known = schedule?.runs.find(([name]) => name === run)
    if (!schedule || known || schedule.open) return { job: known?.[1] }
    return tickFor(schedule, 0)
  }

  ran({ schedule }: Tick, run: string, job: number): void {
    schedule.runs = [...schedule.runs, [run, job] as const].slice(-LIMITS.scheduleRuns)
    this.#touch(schedule)
  }

  /** Those behind an id, in order. */
  list(_: Allowed<'view'>, after: string | undefined, shown: boolean): ScheduleFacts[] {
    const ids = [...this.#all.keys()].filter((id) => after === undefined || id > after).sort()
    return ids.map((id) => factsOf(this.#all.get(id) as Schedule, shown))
  }

  // ---- the store

  #touch(schedule: Schedule): void {
    this.#changed.set(schedule.id, schedule)
    this.#nextAt = undefined
  }

  /** The rows that go with the commit at hand. */
  seal(): (readonly [string, string | null])[] {
    const rows = [...this.#changed].map(
      ([id, schedule]) => [ROW + id, schedule ? JSON.stringify(storedOf(schedule)) : null] as const,
    )
    this.#changed.clear()
    return rows
  }
}

const tickFor = (schedule: Schedule, sequence: number): Tick => {
  const { id, options, body } = schedule
  return { options, body, by: publisherOf(id), sequence, schedule }
}

const timingOf = ({ cron, everyMs, timeZone, startAt, endAt }: Plan): string =>
  JSON.stringify([cron, everyMs, timeZone, startAt, endAt])

/** When a schedule has something to do. One that lets its jobs run one after the other stands still while one is not finished. */
function dueAt({ paused, plan, open, pending, next = NEVER }: Schedule): number {
  return paused || (open && plan.overlap === 'queue') ? NEVER : (pending[0] ?? next)
}

/** Goes on with the first tick from now on. */
function restart(schedule: Schedule, nowMs: number): void {
  const { reached } = schedule
  schedule.pending = []
  schedule.next = timesOf(schedule).after(Math.max(nowMs, reached))
}

/** What could be read when it was made may not be any more, as a zone that this machine does not know: it has no tick then, and the others go on. */
function timesOf({ plan, madeAt }: Schedule): Timetable {
  try {
    return timetable(plan, madeAt)
  } catch {
    return NO_TIMES
  }
}

const NO_TIMES: Timetable = { after: () => undefined, before: () => undefined }

/** Of the ticks that have come, those that are to have a job. */
function catchUp(schedule: Schedule, nowMs: number): void {
  const { plan, next = NEVER } = schedule
  const { after, before } = timesOf(schedule)
  schedule.next = after(nowMs)
  const most = plan.missed === 'all' ? LIMITS.catchUpTicks : 1
  const come: number[] = []
  let at = before(nowMs + 1) ?? next
  for (; at > next && come.length < most; at = before(at) ?? next) come.push(at)
  // The one that was waited for, also where somebody has changed what a zone's clocks do meanwhile.
  if (come.length < most) come.push(next)
  const [newest = next] = come
  if (plan.missed === 'skip' && nowMs - newest > LIMITS.tickLateMs)
    schedule.reached = Math.max(schedule.reached, newest)
  else schedule.pending = come.reverse()
}

function storedOf({ id: _, next, open, pending, ...stored }: Schedule): Stored {
  const first = pending[0] ?? next
  return { ...stored, ...(first !== undefined && { next: first }), ...(open && { open }) }
}

function factsOf(
  { id, plan, options, body, paused, pending, next, last, jobCount }: Schedule,
  shown: boolean,
): ScheduleFacts {
  const nextAt = paused ? undefined : (pending[0] ?? next)
  return {
    id,
    plan,
    ...(Object.keys(options).length > 0 && { options }),
    ...(shown && { data: body }),
    paused,
    ...(nextAt !== undefined && { nextAt }),
    ...(last && { lastAt: last[0], lastJob: last[1] }),
    jobCount,
  }
}
