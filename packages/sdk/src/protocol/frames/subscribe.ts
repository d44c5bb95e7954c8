import * as v from 'valibot'
import { LIMITS } from '../limits.ts'
import { Count, CursorText, Positive, SubscriptionId, TopicName } from './scalars.ts'

/** Text that is no position is a bad cursor; anything else is a field of a wrong type. */
const fromFault = ({ input }: { input: unknown }) => (typeof input === 'string' ? 'bad_cursor' : 'bad_from')
export const From = v.union([v.literal('now'), v.literal('start'), v.object({ last: Positive }), CursorText], fromFault)

/**
 * Client → broker: receive the topic from a position on. `window` is how many bytes may be on their way before the first
 * `credit`. The answer fixes the position, also for "now" and for an empty topic.
 */
export const SubscribeParams = v.object({
  topic: TopicName,
  subscription: SubscriptionId,
  from: From,
  window: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(LIMITS.creditBytes)),
})

/** Why messages between two offsets will not come. */
export const GapReason = v.picklist(['retention', 'epoch', 'rewound', 'access'])

/** `from` is the first offset that is missing (in the cursor's own epoch), `to` the offset at which the topic goes on. */
export const GapFacts = v.object({ from: Count, to: Count, reason: GapReason })

/**
 * Where the subscription starts and where the log ended then; a `gap` stands between the cursor that was asked for and the
 * one where it starts.
 */
export const SubscribeResult = v.object({ cursor: CursorText, head: Count, gap: v.optional(GapFacts) })

/** Client → broker: no frame of this subscription any more. */
export const UnsubscribeParams = v.object({ topic: TopicName, subscription: SubscriptionId })
export const UnsubscribeResult = v.object({})

/**
 * Client → broker, no answer: the broker may send while the topic's byte position is below `through`. Positions are the
 * log's own (`deliver.through`), so a grant is absolute: lost, late or doubled ones do no harm.
 */
export const CreditParams = v.object({ topic: TopicName, subscription: SubscriptionId, through: Count })

export type From = v.InferOutput<typeof From>
export type GapReason = v.InferOutput<typeof GapReason>
export type GapFacts = v.InferOutput<typeof GapFacts>
export type SubscribeParams = v.InferOutput<typeof SubscribeParams>
export type SubscribeResult = v.InferOutput<typeof SubscribeResult>
export type UnsubscribeParams = v.InferOutput<typeof UnsubscribeParams>
export type CreditParams = v.InferOutput<typeof CreditParams>
