import { LIMITS } from '@messkit/sdk/protocol'
import type { Visitor } from '../access/visitor.ts'

/**
 * The state of a link and who stands there, on its socket, which the platform keeps while the object is out of memory. The version stands
 * first: after a deployment, new code wakes to what old code wrote.
 */
type Attachment = readonly [version: typeof VERSION, state: string, visitor: string]

export interface Attached<S> {
  readonly state: S
  readonly visitor: Visitor
}

const VERSION = 2
const LIMIT_BYTES = 16_384
/** What the platform adds to the texts. */
const FRAME_BYTES = 96

/** What the rest may come to, beside the visitor: subscriptions, or workers and claims, what is said about a user's rights, and a place. */
const SUBSCRIPTION_CHARS = JSON.stringify({
  id: 0xffff_ffff,
  next: Number.MAX_SAFE_INTEGER,
  live: false,
  credit: { through: Number.MAX_SAFE_INTEGER },
  at: Number.MAX_SAFE_INTEGER,
}).length
const WORKER = { name: 'x'.repeat(LIMITS.publisherChars), capacity: LIMITS.workerJobs, leaseMs: LIMITS.leaseMs }
const WORKER_CHARS = JSON.stringify({ ...WORKER, since: Number.MAX_SAFE_INTEGER, quiet: true }).length
const ABOUT_CHARS = plain({
  about: { kind: 'browser', host: '\u00e9'.repeat(LIMITS.workerHostChars), pid: 2 ** 32 },
}).length
const PULL_CHARS = JSON.stringify({ ...WORKER, id: Number.MAX_SAFE_INTEGER }).length
/** Numbers of jobs that are watched. */
const WATCH_CHARS = String(Number.MAX_SAFE_INTEGER).length
const REST_CHARS =
  1_024 +
  Math.max(
    LIMITS.subscriptionsPerLink * (SUBSCRIPTION_CHARS + 1),
    ABOUT_CHARS +
      LIMITS.workersPerLink * (WORKER_CHARS + 1) +
      LIMITS.readsPerLink * (PULL_CHARS + 1) +
      LIMITS.keptWatches * (WATCH_CHARS + 1),
  )

/** Whether a link of theirs can be remembered, whatever they subscribe or work on: asked before they come in, for it would be too late after that. */
export function fitsAttachment(visitor: Visitor): boolean {
  // The name stands in the identity once more.
  const chars = plain(visitor).length + plain({ user: visitor.user }).length
  return chars + REST_CHARS + FRAME_BYTES <= LIMIT_BYTES
}

export function writeAttachment(socket: WebSocket, state: object, visitor: Visitor): void {
  const texts = [plain(state), plain(visitor)] as const
  const bytes = texts[0].length + texts[1].length
  // Our own mistake if it fails: who comes in was measured, and subscriptions, workers and claims of a link are bounded.
  if (bytes > LIMIT_BYTES - FRAME_BYTES) throw new RangeError(`a link's state has ${bytes} bytes`)
  socket.serializeAttachment([VERSION, ...texts] satisfies Attachment)
}

/** JSON of which every character is one byte: a single other one would make it two for all. */
function plain(value: object): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `undefined` where there is none that this version understands. */
export function readAttachment<S>(socket: WebSocket): Attached<S> | undefined {
  const attachment: unknown = socket.deserializeAttachment()
  if (!Array.isArray(attachment) || attachment[0] !== VERSION) return undefined
  const [, state, visitor] = attachment as unknown as Attachment
  return { state: JSON.parse(state) as S, visitor: JSON.parse(visitor) as Visitor }
}
