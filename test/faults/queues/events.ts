import type { Stamped } from '../recorder.ts'

/** How a handler leaves its job. Each is a word of the public API; `ack` is to return. */
export type Said = 'ack' | 'retry' | 'bury' | 'release' | 'snooze'

/** What happens to a queue, as it is seen by those who use it, and by whoever breaks it. */
export type QueueEvent =
  /** A job was handed to `enqueue()`; what became of that follows. */
  | { readonly e: 'enqueue'; readonly job: string }
  | { readonly e: 'enqueued'; readonly job: string; readonly id: number | undefined; readonly duplicate: boolean }
  | { readonly e: 'refused'; readonly job: string }
  /** Nobody will hear: its enqueuer is gone. */
  | { readonly e: 'unknown'; readonly job: string }
  | { readonly e: 'hired'; readonly worker: string; readonly leaseMs: number }
  /** It gives back what it has, or is cut off and says nothing any more. */
  | { readonly e: 'left'; readonly worker: string }
  /** SIGKILL. */
  | { readonly e: 'killed'; readonly worker: string }
  /** The right to work was taken from it. */
  | { readonly e: 'denied'; readonly worker: string }
  /** A handler was entered. `delivery` is the attempt that it was told; `intact`: the payload is what was enqueued. */
  | {
      readonly e: 'began'
      readonly run: string
      readonly worker: string
      readonly job: string
      readonly id: number
      readonly delivery: number
      readonly intact: boolean
    }
  | { readonly e: 'extended'; readonly run: string }
  /** Its signal was aborted. */
  | { readonly e: 'aborted'; readonly run: string; readonly why: string }
  /** Written down before the handler returns or throws, and so before anybody can hear of it. */
  | { readonly e: 'ended'; readonly run: string; readonly said: Said }
  /** Somebody asks for it; whether it came to that, the end says. */
  | { readonly e: 'cancel'; readonly ids: readonly number[] }
  | { readonly e: 'redrive'; readonly ids: readonly number[] }
  /** All that is stored, read from the file while the server is down. */
  | { readonly e: 'stored'; readonly jobs: readonly StoredJob[] }
  /** From here on the server's clock is so far from the true one, ahead if above 0. Written down before it is put ahead. */
  | { readonly e: 'clock'; readonly offsetMs: number }
  /** The server is about to begin a life; the one before has ended. */
  | { readonly e: 'life' }
  | { readonly e: 'fault'; readonly kind: string }
  /** A client reported what nothing in a history should bring about. */
  | { readonly e: 'complaint'; readonly what: string }
  /** Something that a campaign must have met. */
  | { readonly e: 'outcome'; readonly what: Outcome }
  | { readonly e: 'rested'; readonly ms: number; readonly limitMs: number }

/** What the faults of a campaign must have led to, besides what the judge sees in the runs. */
export type Outcome =
  | 'killed in the middle of a job'
  | 'cancelled while it ran'
  | 'redriven'
  | 'stored jobs read in the middle'
  | 'refused'
  | 'repeat'
  | 'ran again'
  | 'told that the lease was lost'
  | 'told that the job was cancelled or its worker stopped'
  | 'said something when another run had begun'
  | 'extended'
  | 'released'
  | 'snoozed'
  | 'retried'
  | 'dead in the end'

export type StampedEvent = Stamped<QueueEvent>

export interface StoredJob {
  readonly id: number
  readonly job: string
  readonly dead: boolean
}
