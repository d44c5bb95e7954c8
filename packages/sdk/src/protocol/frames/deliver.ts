import * as v from 'valibot'
import { Ids } from './publish.ts'
import { Count, Positive, PublisherId, SubscriptionId } from './scalars.ts'
import { GapFacts } from './subscribe.ts'

/** What the messages of a run have beyond publisher, sequence and time. `keys` has one entry a message. */
export const RunExtras = v.object({ ids: v.optional(Ids), keys: v.optional(v.array(v.nullable(v.string()))) })

/** `count` messages of one publisher, appended at one time: `[publisher, first sequence, count, time in ms, extras?]`. */
export const Run = v.union([
  v.tuple([PublisherId, Positive, Positive, Count]),
  v.tuple([PublisherId, Positive, Positive, Count, RunExtras]),
])

/**
 * Broker → client: messages `first` to `next - 1`. A range that does not start where the client stands means that frames
 * are missing: it subscribes anew. `through` is the log's byte position at `next`, the measure of `credit`.
 */
export const DeliverParams = v.object({
  subscription: SubscriptionId,
  first: Count,
  next: Count,
  through: Count,
  runs: v.array(Run),
  messages: v.array(v.unknown()),
})

/** Broker → client: messages from `from` to `to - 1` will not come; the subscription goes on at `to`, byte position `through`. */
export const GapParams = v.object({ subscription: SubscriptionId, ...GapFacts.entries, through: Count })

export type RunExtras = v.InferOutput<typeof RunExtras>
export type Run = v.InferOutput<typeof Run>
export type DeliverParams = v.InferOutput<typeof DeliverParams>
export type GapParams = v.InferOutput<typeof GapParams>
