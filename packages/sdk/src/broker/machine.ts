import type { BadRequest, Request } from '../protocol/requests.ts'
import type { Chunk, Commit } from '../store/store.ts'
import type { Failed, StoreEffect, StoreEvent } from './driver.ts'
import type { HomeEffect, HomeEvent } from './home.ts'

/**
 * The border of the broker: a log takes events and answers with effects. It decides; it never waits, reads a clock or does
 * I/O. Effects are per commit and per link, never per message.
 */
export type LogEvent =
  | HomeEvent<LinkState, Request | BadRequest>
  | StoreEvent
  | { readonly name: 'chunks-read'; readonly reader: number; readonly chunks: readonly Chunk[] }

export type LogEffect = HomeEffect<LinkState> | StoreEffect<Commit, Page> | Failed

/** A page of the log that is asked for. */
export interface Page {
  readonly direction: 'on' | 'back'
  readonly offset: number
  readonly maxBytes: number
}

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
