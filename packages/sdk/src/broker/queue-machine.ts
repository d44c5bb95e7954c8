import type { About } from '../protocol/frames/workers.ts'
import type { QueueRequest } from '../protocol/queue-requests.ts'
import type { BadRequest } from '../protocol/requests.ts'
import type { JobRow, LaneCount, PageBounds, Place, QueueCommit } from '../store/queue-store.ts'
import type { Failed, StoreEffect, StoreEvent } from './driver.ts'
import type { HomeEffect, HomeEvent } from './home.ts'
import type { Identity } from './machine.ts'

/** The border of a queue: it takes events and answers with effects. Effects are per commit and per link, never per job. */
export type QueueEvent =
  | HomeEvent<QueueLinkState, QueueRequest | BadRequest>
  | StoreEvent
  | { readonly name: 'jobs-read'; readonly reader: number; readonly rows: readonly JobRow[] }
  | { readonly name: 'counted'; readonly reader: number; readonly lanes: readonly LaneCount[] }

export type QueueEffect = HomeEffect<QueueLinkState> | StoreEffect<QueueCommit, QueueQuery> | Failed

export type QueueQuery =
  | {
      readonly what: 'page'
      readonly lane: number
      readonly after: Pick<Place, 'due' | 'id'> | undefined
      readonly bounds: PageBounds
    }
  | { readonly what: 'get'; readonly places: readonly Place[] }
  | { readonly what: 'find'; readonly ids: readonly number[] }
  | { readonly what: 'count'; readonly nowMs: number; readonly lanes: readonly number[]; readonly most: number }

/** What an answer of the store leads to: one of rows, or one of counts. */
export type Answering = (rows: readonly JobRow[], lanes: readonly LaneCount[], nowMs: number) => readonly QueueEffect[]

/** All that a home must keep of a link while the queue itself is out of memory. */
export interface QueueLinkState {
  readonly identity: Identity
  readonly greeted: boolean
  readonly workers: readonly WorkerState[]
  /** Claims that wait. */
  readonly pulls?: readonly PullState[]
  /** Jobs that it waits to hear of, the newest `keptWatches`. */
  readonly watching?: readonly number[]
  /** What its workers say of themselves. */
  readonly about?: About
}

export interface PullState {
  readonly id: number
  readonly name: string
  readonly count: number
  readonly leaseMs: number
}

export interface WorkerState {
  readonly name: string
  readonly capacity: number
  readonly leaseMs: number
  /** Left out by a home from before it was kept. */
  readonly since?: number
  readonly quiet?: boolean
}
