import * as v from 'valibot'
import { LIMITS } from '../limits.ts'
import { Count, Key, Positive, PublisherId, TopicName } from './scalars.ts'

/** Who minted the ids of a run and the number of its first one: message `i` is called `<origin>-<number + i>`. */
export const Ids = v.tuple([PublisherId, Positive])

/**
 * Client → broker: append messages. Their sequences are `first, first + 1, …`; `after` is the newest earlier sequence that
 * the client has not recorded as refused. `ids` is left out where origin and number are publisher and sequence.
 * `messages` stands last in the frame, one payload per line; the codec hands the lines on as text.
 */
export const PublishParams = v.object({
  topic: TopicName,
  publisher: PublisherId,
  after: Count,
  first: Positive,
  ids: v.optional(Ids),
  // Counted before it is looked into: a frame has room for very many bad ones.
  keys: v.optional(v.pipe(v.array(v.unknown()), v.maxLength(LIMITS.messagesPerFrame), v.array(v.nullable(Key)))),
})

/**
 * What became of `count` messages from sequence `first` on. `stored`: durable at `offset`. `duplicate`: stored before, at
 * `offset` as far as it is remembered. `refused`: not stored, for the reason `code`; nothing behind it in the frame was looked
 * at, and comes back as `unsent`. So does what its user may not publish yet. Of jobs alone: `updated`, as `duplicate`: the job `offset`
 * had its key and is what this one says from now on. `redundant`: that job has its key, and this one is not stored; like what was refused it
 * leaves no trace in the sequence of its publisher, and is left out of its `after`.
 */
export const Fate = v.object({
  fate: v.picklist(['stored', 'duplicate', 'refused', 'unsent', 'redundant', 'updated']),
  first: Positive,
  count: Positive,
  offset: v.optional(Count),
  code: v.optional(v.string()),
  message: v.optional(v.string()),
})
export const PublishResult = v.object({
  epoch: v.string(),
  fates: v.array(Fate),
  /** The user may not publish as fast: what came back as `unsent` is worth sending again after this long. */
  retryAfterMs: v.optional(Positive),
})

export type Ids = v.InferOutput<typeof Ids>
export type PublishParams = v.InferOutput<typeof PublishParams>
export type Fate = v.InferOutput<typeof Fate>
export type PublishResult = v.InferOutput<typeof PublishResult>
