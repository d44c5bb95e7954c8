import type { JobRow, Place, QueueLoaded } from '../store/queue-store.ts'
import { bucketOf } from './checkpoint.ts'
import { type Job, jobOf } from './job.ts'
import type { Claim, Held } from './jobs.ts'
import type { Rate } from './machine.ts'
import { Publishers } from './publishers.ts'
import { isTick, openOf, readSchedule, type ScheduleRow, Schedules } from './schedules.ts'
import { Tally } from './tally.ts'

/**
 * What a queue writes beside its jobs: leases in slots, and what waking must know of the past. That rides on whichever row of leases is
 * written; jobs that were added since tell the rest.
 */
export const STATE = 'state'
const LEASE = 'lease:'
const MARKS = 'marks:'

type StoredMark = readonly [key: string, last: number, at: number, sequence: number, offset: number, count: number]

export interface Carried {
  /** The highest counts. */
  readonly count: number
  /** Id of the next job. */
  readonly next: number
  readonly token: number
  readonly paused: boolean
  readonly limits: QueueLimits
  /** What was given out lately, as the rate counts it. */
  readonly given: string
  readonly marks: readonly StoredMark[]
  /** How many rows each lane has, without those that a home which wakes takes for leased. */
  readonly rows: readonly (readonly [lane: number, count: number])[]
}

export interface QueueLimits {
  readonly concurrency?: number | undefined
  readonly rate?: Rate | undefined
}

interface LeaseRow {
  readonly token: number
  readonly worker: string
  readonly leaseMs: number
  readonly jobs: readonly LeaseRun[]
  readonly carried?: Carried
}

/** Leased jobs with ids in a row, of which all else is the same; one where no count is given. */
type LeaseRun = readonly [lane: number, due: number, id: number, turn: number, untilMs: number, count?: number]

export function leaseFact(claim: Claim, carried: Carried | undefined): readonly [string, string] {
  const { token, worker, leaseMs, held } = claim
  const jobs: [number, number, number, number, number, number?][] = []
  let count = 0
  for (const { job, untilMs } of held.values()) {
    const { lane, due, id, turn } = job
    const run = jobs.at(-1)
    if (run && run[2] + count === id && run[0] === lane && run[1] === due && run[3] === turn && run[4] === untilMs) {
      run[5] = ++count
    } else {
      jobs.push([lane, due, id, turn, untilMs])
      count = 1
    }
  }
  return [
    LEASE + claim.slot,
    JSON.stringify({ token, worker, leaseMs, jobs, ...(carried && { carried }) } satisfies LeaseRow),
  ]
}

const jobsOf = ([lane, due, id, turn, untilMs, count = 1]: LeaseRun): LeaseRun[] =>
  Array.from({ length: count }, (_, i) => [lane, due, id + i, turn, untilMs] as const)

/** Of each publisher the newest stretch: a repeat that is older is answered `duplicate` alone. */
export function marksOf(publishers: Publishers, keys: Iterable<string>): StoredMark[] {
  return [...keys].flatMap((key) => {
    const mark = publishers.get(key)
    const span = mark?.spans.at(-1)
    return mark && span ? [[key, mark.last, mark.at, span.sequence, span.offset, span.count] as const] : []
  })
}

/** The buckets of the marks that have changed, whole. */
export function writeMarks(publishers: Publishers, changed: Iterable<string>): (readonly [string, string])[] {
  const buckets = new Map<number, string[]>()
  for (const key of changed) buckets.set(bucketOf(key), [])
  for (const [key] of publishers.entries()) buckets.get(bucketOf(key))?.push(key)
  return [...buckets].map(([bucket, keys]) => [MARKS + bucket, JSON.stringify(marksOf(publishers, keys))] as const)
}

/** The rows that have to be read before a queue can go on. */
export interface Memo {
  readonly epoch: string
  readonly leases: readonly (LeaseRow & { readonly slot: number })[]
  readonly carried: Carried
  readonly buckets: readonly StoredMark[]
  readonly schedules: readonly ScheduleRow[]
  /** Jobs that were leased, or that a schedule waits for. */
  readonly places: readonly Place[]
}

export function readMemo({ epoch, facts }: QueueLoaded): Memo {
  const leases: (LeaseRow & { slot: number })[] = []
  const buckets: StoredMark[] = []
  const schedules: ScheduleRow[] = []
  let carried: Carried = { count: 0, next: 1, token: 0, paused: false, limits: {}, given: '[]', marks: [], rows: [] }
  for (const [name, text] of facts) {
    const fact: unknown = JSON.parse(text)
    let found: Carried | undefined
    if (name === STATE) found = fact as Carried
    else if (name.startsWith(LEASE)) {
      const row = fact as LeaseRow
      found = row.carried
      leases.push({ ...row, jobs: row.jobs.flatMap(jobsOf), slot: Number(name.slice(LEASE.length)) })
    } else if (name.startsWith(MARKS)) buckets.push(...(fact as StoredMark[]))
    else {
      const row = readSchedule(name, fact)
      if (row) schedules.push(row)
    }
    if (found && found.count > carried.count) carried = found
  }
  // A job that stands in several is its newest claim's.
  leases.sort((a, b) => a.token - b.token)
  const leased = leases.flatMap(({ jobs }) => jobs.map(([lane, due, id]) => ({ lane, due, id })))
  return { epoch, leases, carried, buckets, schedules, places: [...leased, ...schedules.flatMap(openOf)] }
}

export interface Recovered {
  readonly epoch: string
  readonly publishers: Publishers
  readonly schedules: Schedules
  readonly changed: Set<string>
  readonly next: number
  readonly carriedNext: number
  readonly token: number
  readonly paused: boolean
  readonly limits: QueueLimits
  readonly given: string
  readonly count: number
  readonly slots: number
  readonly claims: readonly Claim[]
  /** How many rows each lane has. */
  readonly rows: readonly number[]
}

/** @param leased rows of jobs at the places of the memo @param newer jobs that were added since the marks were written, in lanes of ids */
export function recover(memo: Memo, leased: readonly JobRow[], newer: readonly JobRow[]): Recovered {
  const { epoch, leases, carried, buckets } = memo
  const publishers = new Publishers()
  const restore = ([key, last, at, sequence, offset, count]: StoredMark): void =>
    publishers.restore(key, { last, at, spans: [{ sequence, offset, count }] })
  for (const mark of buckets) restore(mark)
  for (const mark of carried.marks) restore(mark)
  const changed = new Set(carried.marks.map(([key]) => key))
  let { next } = carried
  for (const row of newer.toSorted((a, b) => a.id - b.id)) {
    const { id, by, sequence, at } = jobOf(row)
    next = id + 1
    if (isTick(by) || !Publishers.isNamed(by)) continue
    publishers.record(by, { first: sequence, count: 1, offset: id, at })
    changed.add(by)
  }
  const there = new Map(leased.map((row) => [row.id, row]))
  const claims = new Map<number, Claim>()
  const held = new Map<number, Held>()
  for (const { token, slot, worker, leaseMs, jobs } of leases) {
    const claim: Claim = { token, slot, worker, leaseMs, held: new Map(), bytes: 0, pushed: true, link: undefined }
    for (const [lane, due, id, turn, untilMs] of jobs) {
      const row = there.get(id)
      if (!row || row.lane !== lane || row.due !== due) continue
      const job: Job = jobOf(row)
      if (job.turn !== turn) continue
      job.token = token
      job.leasedTurn = turn
      held.get(id)?.claim.held.delete(id)
      const lease: Held = { job, claim, untilMs }
      held.set(id, lease)
      claim.held.set(id, lease)
    }
    claims.set(token, claim)
  }
  // What has ended since was leased when they were counted, or is newer: leases are never written without a count.
  const rows = new Tally(carried.rows)
  for (const { lane } of newer) rows.add(lane, 1)
  for (const { job } of held.values()) rows.add(job.lane, 1)
  const slots = leases.reduce((most, { slot }) => Math.max(most, slot + 1), 0)
  return {
    epoch,
    publishers,
    schedules: new Schedules(memo.schedules, (id) => there.has(id)),
    changed,
    next,
    carriedNext: carried.next,
    token: carried.token,
    paused: carried.paused,
    limits: carried.limits,
    given: carried.given,
    count: carried.count,
    slots,
    claims: [...claims.values()].filter((claim) => claim.held.size > 0),
    rows: rows.counts,
  }
}
