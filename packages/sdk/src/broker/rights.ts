import { type Fault, fault } from '../protocol/error-codes.ts'
import type { Identity } from './machine.ts'

/** What somebody may do with a topic or a queue, one bit each. Masks are stored: bits are appended and never moved. */
export const RIGHTS = {
  publish: 1,
  subscribe: 2,
  /** To see that it exists, and who may do what. */
  view: 4,
  /** To read what was published before one came. */
  history: 8,
  /** To see who is there. */
  presence: 16,
  /** To be seen. */
  announce: 32,
  enqueue: 64,
  work: 128,
  /** To look at jobs without taking them. */
  peek: 256,
  create: 512,
  delete: 1_024,
  purge: 2_048,
  /** To change settings. */
  change: 4_096,
  /** To change who may do what. */
  grant: 8_192,
  connect: 16_384,
  admin: 32_768,
} as const

export type Right = keyof typeof RIGHTS

declare const proof: unique symbol

/**
 * The proof that a link may do something. Nothing but `authorize` makes one, and whatever has an effect asks for one: an effect that
 * nobody has checked does not compile.
 */
export interface Allowed<R extends Right> {
  readonly [proof]: R
}

/** The one gate of a home. Costs a test of a mask, which was made when the policy or the token changed. */
export function authorize<R extends Right>({ rights }: Identity, right: R): Allowed<R> | Fault {
  return (rights & RIGHTS[right]) === 0 ? FORBIDDEN : (ALLOWED as Allowed<R>)
}

const ALLOWED = Object.freeze({}) as unknown
const FORBIDDEN = fault('forbidden')

/** Whether something that could be read with the rights from before cannot be with these. */
export function readsLess(before: Identity, after: Identity): boolean {
  const lost = before.rights & ~after.rights
  return (
    (lost & (RIGHTS.subscribe | RIGHTS.history)) !== 0 ||
    (after.historyFrom ?? 0) > (before.historyFrom ?? 0) ||
    depthOf(after) < depthOf(before)
  )
}

const depthOf = ({ limits }: Identity): number => limits?.depth ?? Number.POSITIVE_INFINITY
