import { encodeError, encodeGoodbye, encodeResult } from '../protocol/answers.ts'
import { ERRORS, type Fault, fault } from '../protocol/error-codes.ts'
import { ANNOUNCED_LIMITS, type AnnouncedLimits, LIMITS } from '../protocol/limits.ts'
import { PROTOCOL } from '../protocol/version.ts'
import type { Identity } from './machine.ts'

/** What every machine says to a link in the same words. */

type Send = { readonly name: 'send'; readonly links: readonly number[]; readonly text: string }
type Close = { readonly name: 'close'; readonly link: number; readonly code: number; readonly reason: string }

export function answer(link: number, id: number, result: object): Send[] {
  return [{ name: 'send', links: [link], text: encodeResult(id, result) }]
}

export function answerError(link: number, id: number | null, reason: Fault): Send[] {
  return [{ name: 'send', links: [link], text: encodeError(id, reason) }]
}

/** The end of a link for a reason that its client is told first. */
export function farewell(link: number, id: number | null, reason: Fault): (Send | Close)[] {
  const text = id === null ? encodeGoodbye(reason) : encodeError(id, reason)
  const { close } = ERRORS[reason.code] as { close?: number }
  return [
    { name: 'send', links: [link], text },
    { name: 'close', link, code: close ?? 4000, reason: reason.code },
  ]
}

/** The message names the bound. */
export function busy(bound: string, retryAfterMs: number): Fault {
  return { ...fault('busy', `${bound}; try again`), retryAfterMs }
}

export function expired({ expiresAt }: Identity, nowMs: number): boolean {
  return expiresAt !== undefined && expiresAt <= nowMs
}

/** The answer to `hello`, or why the link cannot go on. */
export function greeting(
  versions: readonly number[],
  identity: Identity,
  { nowMs, heartbeatMs }: { nowMs: number; heartbeatMs: number | undefined },
): object | Fault {
  if (!versions.includes(PROTOCOL.current))
    return fault('version_unsupported', `this server speaks versions ${PROTOCOL.oldest} to ${PROTOCOL.current}`)
  const { user, expiresAt } = identity
  return {
    version: PROTOCOL.current,
    limits: announced(identity),
    nowMs,
    features: [],
    ...(heartbeatMs !== undefined && { heartbeatMs }),
    ...(user !== undefined && { user }),
    ...(expiresAt !== undefined && { expiresInMs: Math.max(0, expiresAt - nowMs) }),
  }
}

/** Whoever may publish little at once is told so: what goes over it would come back, and be sent again. */
function announced({ limits: { rate, messageBytes } = {} }: Identity): AnnouncedLimits {
  const all = Object.fromEntries(ANNOUNCED_LIMITS.map((name) => [name, LIMITS[name]])) as AnnouncedLimits
  return {
    ...all,
    ...(rate && { publisherWindow: Math.min(rate.count, all.publisherWindow) }),
    ...(messageBytes !== undefined && { messageBytes: Math.min(messageBytes, all.messageBytes) }),
  }
}

export const PAGES = busy('more pages than historyBytes allows were asked for', 1_000)
export const FULL = busy('more than undurableBytes waits to become durable', 100)
