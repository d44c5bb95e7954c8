/**
 * What happened, in the order in which it happened. Simulated, process and browser runs write down the same events, one topic to
 * a history; nothing in here knows which of them it was.
 */
export type HistoryEvent =
  | PublisherEvent
  | SubscriberEvent
  | JobEvent
  /** The home no longer serves what is before this offset. Only where it can be seen; else the end decides. */
  | { readonly e: 'trimmed'; readonly floor: number }
  /** Something of a queue was looked at that nobody sees in its leases. */
  | { readonly e: 'looked'; readonly at: Looked; readonly holds: boolean; readonly example?: string }
  /** Something that has a bound was looked at. */
  | { readonly e: 'sample'; readonly bound: string; readonly value: number; readonly limit: number }
  /** Something was broken on purpose. */
  | { readonly e: 'fault'; readonly kind: string }
  /** Nothing is broken any more, and everything had come to rest after so long. */
  | { readonly e: 'rested'; readonly ms: number; readonly limitMs: number }

export type Looked = 'two jobs of one key' | 'job that was replaced came back' | 'result lost' | 'state lost'

export type PublisherEvent =
  /** A message was handed to `publish()`. `order` counts per publisher and topic; `digest` stands for its bytes. */
  | {
      readonly e: 'publish'
      readonly id: string
      readonly publisher: string
      readonly order: number
      readonly digest?: string
    }
  /** `receipt.stored` said `disk`: from here on a crash is no excuse. */
  | { readonly e: 'stored'; readonly id: string }
  | {
      readonly e: 'acked'
      readonly id: string
      readonly epoch: string
      readonly offset: number | undefined
      readonly duplicate: boolean
    }
  /** Certainly not stored at its home, and its publisher was told. */
  | { readonly e: 'refused'; readonly id: string }
  /** May be at its home or not: its publisher crashed before it was on disk, or its home forgot the publisher. */
  | { readonly e: 'unknown'; readonly id: string; readonly why: 'crash' | 'forgotten' }
  /** What is published from here on has no right to be stored, until `allowed`. */
  | { readonly e: 'denied'; readonly publisher: string }
  | { readonly e: 'allowed'; readonly publisher: string }
  /** It reached its home, from somebody who had the right to publish then or not. Only where that can be seen. */
  | { readonly e: 'arrived'; readonly id: string; readonly may: boolean }

export type SubscriberEvent =
  /** A subscription begins, or goes on after its client crashed; `next` is the first offset it wants. */
  | {
      readonly e: 'start'
      readonly sub: string
      readonly epoch: string
      readonly next: number
      readonly resumed: boolean
    }
  /** A handler was entered; `handled` when it was done. */
  | {
      readonly e: 'deliver'
      readonly sub: string
      readonly epoch: string
      readonly offset: number
      readonly id: string
      readonly digest?: string
    }
  | { readonly e: 'handled'; readonly sub: string; readonly offset: number }
  | {
      readonly e: 'gap'
      readonly sub: string
      readonly epoch: string
      readonly from: number
      readonly to: number
      readonly reason: string
    }
  /** The home sent it messages. Only where that can be seen. */
  | { readonly e: 'served'; readonly sub: string }
  /** It lost the right to read, and whoever took it was told that it is gone; until `granted`. */
  | { readonly e: 'revoked'; readonly sub: string }
  | { readonly e: 'granted'; readonly sub: string }

/** Times are those of the queue's home. */
export type JobEvent =
  | { readonly e: 'enqueued'; readonly job: string }
  | {
      readonly e: 'claimed'
      readonly job: string
      readonly token: number
      readonly at: number
      readonly deadline: number
      readonly group?: GroupFacts
      /** Which delivery its worker is told that it is. */
      readonly delivery?: number
    }
  /** Its worker is told that its lease has ended without a word. */
  | { readonly e: 'lost'; readonly job: string; readonly token: number }
  | {
      readonly e: 'extended'
      readonly job: string
      readonly token: number
      readonly at: number
      readonly deadline: number
      readonly accepted: boolean
    }
  /** `done`: it must not run again. `back`: it must. */
  | {
      readonly e: 'settled'
      readonly job: string
      readonly token: number
      readonly at: number
      readonly as: 'done' | 'back'
      readonly accepted: boolean
    }
  | { readonly e: 'dead'; readonly job: string }

/** Of a job that is one of a group. */
export interface GroupFacts {
  readonly name: string
  /** How many of it are held now, this one included, and how many may be. */
  readonly held: number
  readonly most: number
  /** Of groups that are strict: with a higher one begun, none of a lower one is begun any more. By what, in each kind of order there is. */
  readonly order: { readonly [by: string]: number }
}

/** One reading of what is stored at the end. */
export interface FinalLog {
  readonly epoch: string
  /** First offset that is still served, and the one after the last. */
  readonly floor: number
  readonly head: number
  readonly messages: readonly { readonly offset: number; readonly id: string; readonly digest?: string }[]
}

/** How a history ends. */
export interface Ending {
  /** The log, read in as many ways as there are: they have to agree. */
  readonly logs: readonly [FinalLog, ...FinalLog[]]
  /** Subscriptions that are open and must have everything. */
  readonly subscriptions: readonly string[]
  /** Jobs that still wait, are leased or are set aside as dead. */
  readonly jobs?: ReadonlySet<string>
}
