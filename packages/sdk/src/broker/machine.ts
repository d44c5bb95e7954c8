import type { Fault } from '../protocol/error-codes.ts'
import type { BadRequest, Request } from '../protocol/requests.ts'
import type { Chunk, Commit } from '../store/store.ts'

/**
 * The border of the broker: a log takes events and answers with effects. It decides; it never waits, reads a clock or does
 * I/O. Effects are per commit and per link, never per message.
 */
export type LogEvent =
  | { readonly name: 'opened'; readonly link: number; readonly state: LinkState }
  | { readonly name: 'frame'; readonly link: number; readonly frame: Request | BadRequest }
  | { readonly name: 'closed'; readonly link: number }
  | { readonly name: 'durable'; readonly commit: number }
  | { readonly name: 'commit-failed'; readonly commit: number; readonly error: unknown }
  | { readonly name: 'chunks-read'; readonly reader: number; readonly chunks: readonly Chunk[] }
  | { readonly name: 'read-failed'; readonly reader: number; readonly error: unknown }
  | { readonly name: 'verified'; readonly link: number; readonly id: number; readonly identity: Identity | Fault }
  /** What the link's user may do has been worked out anew. */
  | { readonly name: 'judged'; readonly link: number; readonly identity: Identity }
  | { readonly name: 'due' }

export type LogEffect =
  | { readonly name: 'commit'; readonly commit: number; readonly write: Commit }
  | {
      readonly name: 'read'
      readonly reader: number
      readonly direction: 'on' | 'back'
      readonly offset: number
      readonly maxBytes: number
    }
  /** One text for every link named. */
  | { readonly name: 'send'; readonly links: readonly number[]; readonly text: string }
  /** The link's state, for a home that may forget everything else. */
  | { readonly name: 'remember'; readonly link: number; readonly state: LinkState }
  | { readonly name: 'close'; readonly link: number; readonly code: number; readonly reason: string }
  /** Check a token and answer with `verified`. */
  | { readonly name: 'verify'; readonly link: number; readonly id: number; readonly token: string }
  /** Come back with `due` at this time, or before. */
  | { readonly name: 'wake-at'; readonly at: number }
  /** The log does not know any more what is stored: throw it away and load it anew. All its links are closed. */
  | { readonly name: 'failed'; readonly error: unknown }

/** Who speaks on a link. */
export interface Identity {
  /** Issuer and subject as one opaque key; empty where there is only one user. */
  readonly key: string
  /** The subject by itself, as the client knows it. */
  readonly user?: string
  /** In ms since 1970. */
  readonly expiresAt?: number
  /** What they may do here, as a mask of `RIGHTS`. */
  readonly rights: number
  /** With the right to history: offset of the first message that it covers. */
  readonly historyFrom?: number
  readonly limits?: UserLimits
}

/** Of what somebody may do only so much. What is left out is bounded by `LIMITS` alone. */
export interface UserLimits {
  /** Messages published, by this user on all links to the topic together. */
  readonly rate?: Rate
  /** One payload as JSON text in UTF-8. */
  readonly messageBytes?: number
  /** Subscriptions, of this user on all links to the topic together. */
  readonly subscriptions?: number
  /** How many of the newest messages may be read back. */
  readonly depth?: number
}

/** So many at once, and so many per period after that; both from 1 on. */
export interface Rate {
  readonly count: number
  readonly periodMs: number
}

/** Every bit of `RIGHTS`, and those to come. */
export const ALL_RIGHTS = 65_535

/** Who speaks where there is only one user. */
export const NOBODY: Identity = { key: '', rights: ALL_RIGHTS }

/** All that a home must keep of a link while the log itself is out of memory. */
export interface LinkState {
  readonly identity: Identity
  readonly greeted: boolean
  readonly subscriptions: readonly SubscriptionState[]
}

export interface SubscriptionState {
  readonly id: number
  /** Offset of the next message. */
  readonly next: number
  /** `next` followed the log's end when this was written, and still does. */
  readonly live: boolean
  readonly credit: Credit
  /** Byte position of `next` while it is behind, as far as known: without it, waking would read a page to see that there is no credit. */
  readonly at?: number
}

/** The byte position below which may be sent; a `window` until the position of the start is known. */
export type Credit = { readonly window: number } | { readonly through: number }
