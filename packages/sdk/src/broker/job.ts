import type { Backoff, JobOptions } from '../protocol/frames/queue.ts'
import type { JobRow, Place } from '../store/queue-store.ts'
import type { Identity } from './machine.ts'

/**
 * Where jobs lie: one lane per priority and kind of waiting, in the order in which they are claimed. What a job's state is follows from
 * its lane, the time and the leases, so nothing is written when a time comes or a queue is paused.
 */
export const LANES = { ready: 0, scheduled: 10, retrying: 20, dead: 30, completed: 50, keys: 60 } as const
/** Priorities, and so lanes of each kind. */
export const WIDTH = 10
/** Lanes below may be claimed from. */
export const CLAIMABLE = LANES.dead

/** One job, as long as somebody has to do with it. */
export interface Job {
  readonly id: number
  /** Its place now, and the one that its row has once all that was sealed is written. */
  lane: number
  due: number
  stored: Place | undefined
  head: string
  body: string
  /** Whether the body is another one than its row has. */
  newBody: boolean
  /** When it was enqueued, by whom, and as which of theirs. */
  readonly at: number
  readonly by: string
  readonly sequence: number
  options: JobOptions
  /** How often its row was rewritten: a lease that was written down for an earlier turn counts no more. */
  turn: number
  /** Attempts that failed, and leases that ended without a word. */
  attempt: number
  losses: number
  /** Of its newest lease, and the turn in which that was given. */
  token: number
  leasedTurn: number
  error: string | undefined
  /** It stays where it is, and is not to be begun before: so it holds back its group, also after a restart. */
  until: number
  /** What few jobs have. */
  extra: Extra | undefined
  /** Its row must be written, and whether it is over. */
  dirty: boolean
  gone: boolean
}

/** State and result are JSON text. */
export interface Extra {
  readonly state?: string
  readonly result?: string
  /** The end of what its handler said last. */
  readonly log?: readonly string[]
}

type Head = readonly [
  at: number,
  by: string,
  sequence: number,
  options: JobOptions,
  turn: number,
  attempt: number,
  losses: number,
  token: number,
  error?: string | null,
  until?: number,
  extra?: Extra,
]

export interface NewJob {
  readonly id: number
  readonly lane: number
  readonly due: number
  readonly at: number
  readonly by: string
  readonly sequence: number
  readonly options: JobOptions
  /** The options, and `by`, as JSON: both are the same for many jobs. */
  readonly optionsText: string
  readonly byText: string
  readonly body: string
}

export function newJob({ id, lane, due, at, by, sequence, options, optionsText, byText, body }: NewJob): Job {
  return {
    id,
    lane,
    due,
    stored: undefined,
    head: `[${at},${byText},${sequence},${optionsText},0,0,0,0]`,
    body,
    newBody: false,
    at,
    by,
    sequence,
    options,
    turn: 0,
    attempt: 0,
    losses: 0,
    token: 0,
    leasedTurn: -1,
    error: undefined,
    until: 0,
    extra: undefined,
    dirty: false,
    gone: false,
  }
}

export function jobOf({ lane, due, id, head, body }: JobRow): Job {
  const [at, by, sequence, options, turn, attempt, losses, token, error, until = 0, extra] = JSON.parse(head) as Head
  const stored = { lane, due, id }
  const known = { at, by, sequence, options, turn, attempt, losses, token, error: error ?? undefined, until, extra }
  return { id, lane, due, stored, head, body, newBody: false, ...known, leasedTurn: -1, dirty: false, gone: false }
}

/** The head as it is to be written now. */
export function rewrite(job: Job): void {
  const { at, by, sequence, options, turn, attempt, losses, token, error, until, extra } = job
  const head: Head = [at, by, sequence, options, turn, attempt, losses, token]
  if (extra) job.head = JSON.stringify([...head, error ?? null, until, extra])
  else if (until > 0) job.head = JSON.stringify([...head, error ?? null, until])
  else job.head = JSON.stringify(error === undefined ? head : [...head, error])
}

const PRIORITY = 4
const ATTEMPTS = 5
const BACKOFF: Backoff = { type: 'exponential', initialMs: 1_000, factor: 2, maxMs: 600_000, jitter: 0.2 }

/** Whether it is a job of theirs. */
export const isBy = (by: string, { key }: Identity): boolean => by.slice(0, by.lastIndexOf('.')) === key

/** The lane of a kind for a job's priority; 9 goes first. */
export const laneOf = (kind: number, { priority = PRIORITY }: JobOptions): number => kind + WIDTH - 1 - priority

/** The group that it is one of, if any. */
export const groupOf = ({ options: { group } }: Job): string | undefined =>
  typeof group === 'object' ? group.id : group

/** How many of its group may be held at a time. */
export const mostOf = ({ options: { group } }: Job): number => (typeof group === 'object' ? group.concurrency : 1)

/** Whether nothing of its group may be begun until it is over. */
export const isStrict = (job: Job): boolean => groupOf(job) !== undefined && mostOf(job) === 1

/** Which delivery the next one is, from 1. */
export const deliveryOf = ({ attempt, losses }: Job): number => attempt + losses + 1

export const isSpent = ({ attempt, options: { attempts = ATTEMPTS } }: Job): boolean => attempt >= attempts

/** Whether an attempt that failed like this was the last one. */
export const isFinal = (job: Job, error: string): boolean =>
  isSpent(job) || (job.options.nonRetryable?.includes(error.split(':', 1)[0] as string) ?? false)

export const isExpired = ({ at, options: { ttlMs } }: Job, nowMs: number): boolean =>
  ttlMs !== undefined && at + ttlMs <= nowMs

/** @param chance 0 ≤ chance < 1 */
export function backoffMs({ attempt, options: { backoff = BACKOFF } }: Job, chance: number): number {
  const { type, initialMs, factor, maxMs, jitter } = backoff
  // Never infinite, or nothing times that would be no number.
  const growth = Math.min(Number.MAX_VALUE, factor ** (attempt - 1))
  const whole = type === 'fixed' ? initialMs : Math.min(maxMs, initialMs * growth)
  return Math.round(whole * (1 - jitter * chance))
}

/** A number from 0 to 1 that two numbers decide: jobs that failed together do not come back together. */
export function chanceOf(salt: number, id: number): number {
  let mixed = Math.imul((salt * 2 ** 32) ^ id, 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
}

/** Whether a place comes behind another one of the same lane. */
export const isBehind = (a: Pick<Place, 'due' | 'id'>, b: Pick<Place, 'due' | 'id'>): boolean =>
  a.due > b.due || (a.due === b.due && a.id > b.id)
