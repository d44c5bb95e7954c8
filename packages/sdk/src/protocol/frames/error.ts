import * as v from 'valibot'
import { Count, RequestId } from './scalars.ts'

/** A failed request: JSON-RPC's error object, with our own code as text. `id` is null where it could not be read. */
export const ErrorFrame = v.object({
  jsonrpc: v.literal('2.0'),
  id: v.nullable(RequestId),
  error: v.object({
    code: v.number(),
    message: v.string(),
    data: v.object({ code: v.string(), retryable: v.boolean(), retryAfterMs: v.optional(Count) }),
  }),
})
export type ErrorFrame = v.InferOutput<typeof ErrorFrame>
