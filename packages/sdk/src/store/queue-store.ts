import type { Maybe } from './store.ts'

/** Where a job stands. Jobs lie in the order of their places, so what is taken next is read in one go, without any index. */
export interface Place {
  readonly lane: number
  /** In ms since 1970; 0 where time plays no part. */
  readonly due: number
  readonly id: number
}

/** One job. `head` is what changes with it, `body` the payload's text. */
export interface JobRow extends Place {
  readonly head: string
  readonly body: string
}

export interface QueueCommit {
  readonly put: readonly JobRow[]
  /** Rows that get another place or head; the payload stays as it is unless there is another one. */
  readonly move: readonly { readonly from: Place; readonly to: Place; readonly head: string; readonly body?: string }[]
  readonly remove: readonly Place[]
  /** Small rows by name: leases, marks, settings. `null` deletes one. */
  readonly facts: readonly (readonly [name: string, text: string | null])[]
}

export interface LaneCount {
  readonly lane: number
  readonly due: number
}

export interface PageBounds {
  readonly maxJobs: number
  readonly maxBytes: number
}

export interface QueueLoaded {
  readonly epoch: string
  readonly facts: readonly (readonly [name: string, text: string])[]
}

/**
 * One queue's memory, as its broker sees it. It keeps rows and decides nothing. What is read is as it stands after every commit that was
 * asked for before.
 */
export interface QueueStore {
  /** @param newEpoch names the queue if it does not exist yet; then it is made and the name is durable with the first `durable()` */
  load(newEpoch: string): Maybe<QueueLoaded>
  /** All or nothing; fails where a row that is to be moved or removed is not there. */
  commit(commit: QueueCommit): Maybe<void>
  /** Resolves once everything committed so far is as durable as this store gets. */
  durable(): Maybe<void>
  /** Jobs of a lane behind a place, in order: at least one if there is any, then more while their payloads fit in `maxBytes`. */
  page(lane: number, after: Pick<Place, 'due' | 'id'> | undefined, bounds: PageBounds): Maybe<readonly JobRow[]>
  /** Those of the places that have a row. */
  get(places: readonly Place[]): Maybe<readonly JobRow[]>
  /** Jobs whose ids are `id` or higher, of the lanes below `lanes`; in those the due of every job is 0. */
  since(id: number, lanes: number): Maybe<readonly JobRow[]>
  /** Those of the jobs that there are, wherever they stand. In lanes below `lanes` they are looked up, the others are read through. */
  find(ids: readonly number[], lanes: number): Maybe<readonly JobRow[]>
  /** How many jobs of each of these lanes are due by then, as far as to `most`; reads no more rows than that. */
  count(nowMs: number, lanes: readonly number[], most: number): Maybe<readonly LaneCount[]>
}
