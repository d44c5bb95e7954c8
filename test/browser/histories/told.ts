import type { HistoryEvent } from '../../support/checker/history.ts'

/** What a page and whoever drives the browser say to each other. */

/** A message's payload. */
export interface Note {
  readonly id: string
  readonly pad: string
}

export interface Order extends Note {
  /** Looks harmless when it is checked, and is nested too deeply when it is written: only a server refuses it. */
  readonly sly: boolean
}

export interface LifeOptions {
  /** Names one loading of one page. */
  readonly name: string
  readonly topic: string
  /** The server; without one the topic lives in the browser. */
  readonly url: string | undefined
  /** A subscription that goes on where it stopped, beside the one that shows everything. */
  readonly resume: { readonly sub: string; readonly again: boolean } | undefined
  /** Handlers take a while. */
  readonly slow: boolean
}

/** What a page tells: events of the history, and what is needed to make sense of them. */
export type Told =
  | HistoryEvent
  /** The id that the SDK gave to a message. */
  | { readonly e: 'named'; readonly id: string; readonly as: string }
  /** `receipt.stored` said `memory`. */
  | { readonly e: 'memory'; readonly id: string }
  | { readonly e: 'role'; readonly role: string }
  /** A subscription ended by itself. */
  | { readonly e: 'ended'; readonly sub: string; readonly code: string }
  /** An `error` event, or a receipt that failed otherwise than by a refusal. */
  | { readonly e: 'trouble'; readonly code: string; readonly cause: string; readonly id?: string }
  /** What the browser, or a page, wrote to the page's console. */
  | { readonly e: 'console'; readonly text: string }

/** So much of it at once; `at` counts what was told before. */
export interface Batch {
  readonly life: string
  readonly at: number
  readonly told: readonly Told[]
}

/** Stands for the bytes of a note. (FNV-1a) */
export function digestOf({ id, pad }: Note): string {
  let hash = 0x811c9dc5
  for (const text of [id, pad])
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return `${pad.length}:${(hash >>> 0).toString(16)}`
}
