import type { BulkParams, JobFilter } from '../protocol/frames/queue.ts'
import type { Place } from '../store/queue-store.ts'
import { CLAIMABLE, groupOf, type Job, LANES, WIDTH } from './job.ts'

type State = NonNullable<BulkParams['state']> | 'completed'

/**
 * The lanes of a state, from the first one to before the other one; without a state, all. A job whose time has come is ready, and lies where
 * it has waited.
 */
export function lanesOf(state: State | undefined): readonly [first: number, end: number] {
  if (state === undefined) return [LANES.ready, LANES.dead + 1]
  if (state === 'ready') return [LANES.ready, CLAIMABLE]
  return [LANES[state], LANES[state] + (LANES[state] < CLAIMABLE ? WIDTH : 1)]
}

/** The first place of a lane at which jobs of a state may lie, as the place before it. */
export function beforeFirst(state: State | undefined, nowMs: number): Pick<Place, 'due' | 'id'> | undefined {
  const waits = state === 'scheduled' || state === 'retrying'
  return waits ? { due: nowMs, id: Number.MAX_SAFE_INTEGER } : undefined
}

/** Those of a page of a lane that are in a state; behind the first one that is not there are none. */
export function inState<R extends Place>(rows: readonly R[], state: State | undefined, nowMs: number): readonly R[] {
  return state === 'ready' ? rows.filter(({ due }) => due <= nowMs) : rows
}

export function matches(job: Job, filter: JobFilter | undefined): boolean {
  if (!filter) return true
  const { at, error, body } = job
  return (
    (filter.group === undefined || filter.group === groupOf(job)) &&
    (filter.enqueuedFrom === undefined || at >= filter.enqueuedFrom) &&
    (filter.enqueuedTo === undefined || at < filter.enqueuedTo) &&
    (filter.error === undefined || error?.includes(filter.error) === true) &&
    (filter.text === undefined || body.includes(filter.text))
  )
}

/** How far a queue had come: what is newer, or has been given out or has died since, is not meant. */
export type Snapshot = NonNullable<BulkParams['snapshot']>

export function isMeant(job: Job, [id, token, at]: Snapshot): boolean {
  if (job.id > id) return false
  if (job.lane >= LANES.retrying && job.token > token) return false
  return job.lane !== LANES.dead || job.due <= at
}
