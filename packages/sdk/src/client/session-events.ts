import type { Frame } from '../protocol/codec.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { DeliverParams } from '../protocol/frames/deliver.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import type { From, GapFacts } from '../protocol/frames/subscribe.ts'
import type { MessError, Trouble } from './errors.ts'

/** What a session hears and what it answers with: the border between deciding and doing. */
export type Connection = 'idle' | 'asking' | 'opening' | 'greeting' | 'online' | 'waiting' | 'stuck' | 'closed'

export type SessionEvent =
  | { readonly name: 'opened'; readonly generation: number }
  /** A frame of `size` characters, or text that is none. */
  | {
      readonly name: 'heard'
      readonly generation: number
      readonly frame: Frame | 'heartbeat' | undefined
      readonly size: number
    }
  | { readonly name: 'lost'; readonly generation: number; readonly code?: number | undefined }
  | { readonly name: 'token'; readonly token: string | undefined }
  | { readonly name: 'token-failed' }
  | { readonly name: 'subscribe'; readonly by: Subscriber; readonly from: From }
  | { readonly name: 'unsubscribe'; readonly by: Subscriber }
  /** The consumer has handled everything up to this cursor, which is this byte position of the log. */
  | { readonly name: 'handled'; readonly by: Subscriber; readonly cursor: Cursor; readonly through: number }
  /** There is something new in the publisher. */
  | { readonly name: 'publish' }
  /** The refusals that were reported are recorded; what stands behind them may go on. */
  | { readonly name: 'noted' }
  /** Asked now, or again, and on each link until it is unasked. */
  | { readonly name: 'ask'; readonly by: Asking }
  | { readonly name: 'unask'; readonly by: Asking }
  | { readonly name: 'due' }
  | { readonly name: 'hint' }
  | { readonly name: 'close' }

export type SessionEffect =
  | { readonly name: 'ask-token'; readonly why: 'first' | 'expiring' | 'refused' }
  | { readonly name: 'open'; readonly generation: number; readonly token: string | undefined }
  | { readonly name: 'send'; readonly text: string }
  | { readonly name: 'hang-up' }
  | { readonly name: 'wake-at'; readonly at: number }
  | { readonly name: 'connection'; readonly state: Connection; readonly error: Trouble | undefined }
  | {
      readonly name: 'started'
      readonly by: Subscriber
      readonly epoch: string
      readonly next: number
      readonly head: number
    }
  | { readonly name: 'batch'; readonly by: Subscriber; readonly epoch: string; readonly batch: DeliverParams }
  | {
      readonly name: 'gap'
      readonly by: Subscriber
      readonly epoch: string
      readonly gap: GapFacts
      readonly through: number | undefined
    }
  | { readonly name: 'subscribe-failed'; readonly by: Subscriber; readonly error: Trouble }
  /** Fates of published messages, in order. After a refusal nothing is sent until `noted`. */
  | { readonly name: 'fates'; readonly epoch: string; readonly fates: readonly Fate[] }
  /** The home does not know this publisher any more; whether its unacked messages are stored cannot be told. */
  | { readonly name: 'publisher-lost'; readonly error: Trouble }
  /** Exactly one of the two is there. */
  | { readonly name: 'answered'; readonly by: Asking; readonly result: unknown; readonly error: Trouble | undefined }
  /** The home says something by itself that is no message. */
  | { readonly name: 'told'; readonly by: Asking; readonly method: string; readonly params: unknown }

/** Who asked, and hears the answers. The session only tells one from another. */
export interface Subscriber {
  started(start: Extract<SessionEffect, { name: 'started' }>): void
  batch(batch: DeliverParams, epoch: string): void
  gap(gap: GapFacts, epoch: string, through: number | undefined): void
  failed(error: MessError): void
}

/** A request, kept until it is unasked: what was not answered on one link is asked on the next. */
export interface Asking {
  readonly method: string
  readonly params: object
  answered(result: unknown, error: Trouble | undefined): void
  told?(method: string, params: unknown): void
}
