import * as v from 'valibot'
import { LIMITS } from '../limits.ts'
import { Run } from './deliver.ts'
import { Count, CursorText, TopicName } from './scalars.ts'
import { GapFacts } from './subscribe.ts'

/**
 * Client → broker: one page of what is kept, forwards from a cursor (default: the start) or, with `reverse`, backwards from
 * before it (default: the end). A page is cut by `limit`, by bytes, and by what was durable when it was asked for.
 */
export const HistoryParams = v.object({
  topic: TopicName,
  from: v.optional(CursorText),
  limit: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LIMITS.historyMessages)),
  reverse: v.optional(v.boolean()),
})

/** Messages `first` to `next - 1`, always in log order. `more`: the next page is not empty; `next` or, reversed, `first` begins it. */
export const HistoryResult = v.object({
  epoch: v.string(),
  first: Count,
  next: Count,
  more: v.boolean(),
  gap: v.optional(GapFacts),
  runs: v.array(Run),
  messages: v.array(v.unknown()),
})

export type HistoryParams = v.InferOutput<typeof HistoryParams>
export type HistoryResult = v.InferOutput<typeof HistoryResult>
