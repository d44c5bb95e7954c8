import * as v from 'valibot'
import { ANNOUNCED_LIMITS, type AnnouncedLimits } from '../limits.ts'
import { Count } from './scalars.ts'

/** Client → broker, the first frame of a link: the versions the client speaks and what it is. */
export const HelloParams = v.object({
  versions: v.pipe(v.array(v.unknown()), v.minLength(1), v.maxLength(16), v.array(Count)),
  client: v.optional(v.pipe(v.string(), v.maxLength(64))),
})

/** The answer: what both will speak, and what the client must know of the server. */
export const HelloResult = v.object({
  version: Count,
  limits: v.object(
    Object.fromEntries(ANNOUNCED_LIMITS.map((name) => [name, Count])) as { [K in keyof AnnouncedLimits]: typeof Count },
  ),
  /** Server time in milliseconds since 1970. */
  nowMs: Count,
  /** Beat of the heartbeat pair; absent where the link cannot be half open. */
  heartbeatMs: v.optional(Count),
  /** The token's subject. A client that was made for another user sends nothing. */
  user: v.optional(v.string()),
  /** How long the token is good for, by the server's clock. */
  expiresInMs: v.optional(Count),
  features: v.array(v.string()),
})

export type HelloParams = v.InferOutput<typeof HelloParams>
export type HelloResult = v.InferOutput<typeof HelloResult>
