import * as v from 'valibot'
import { Count } from './scalars.ts'

/**
 * Broker → client: the link ends, for this reason. The client treats it as closed at once, since a close event can come
 * ten seconds late or, refused upgrades, say nothing.
 */
export const GoodbyeParams = v.object({
  code: v.string(),
  message: v.optional(v.string()),
  retryable: v.boolean(),
  retryAfterMs: v.optional(Count),
})
export type GoodbyeParams = v.InferOutput<typeof GoodbyeParams>
