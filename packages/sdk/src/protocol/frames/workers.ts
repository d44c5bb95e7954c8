import * as v from 'valibot'
import { LIMITS } from '../limits.ts'
import { Count, Positive, TopicName } from './scalars.ts'

/** Who works on a queue, and on what. */

/** What a worker says of where it runs. Nobody checks it, and nothing depends on it. */
export const About = v.object({
  kind: v.picklist(['node', 'browser', 'worker']),
  host: v.optional(v.pipe(v.string(), v.maxLength(LIMITS.workerHostChars))),
  pid: v.optional(v.pipe(Positive, v.maxValue(0xffff_ffff))),
})

const WorkerPlace = v.pipe(v.string(), v.minLength(1), v.maxLength(2 * LIMITS.publisherChars))

/** Client → broker: one page of the workers, behind `after`. */
export const WorkersParams = v.object({
  queue: TopicName,
  after: v.optional(WorkerPlace),
  limit: v.optional(v.pipe(Positive, v.maxValue(LIMITS.messagesPerFrame))),
})

/** Times are in ms since 1970. */
export const WorkerFacts = v.object({
  worker: v.string(),
  /** Left out until it has said something since the home was started. */
  user: v.optional(v.string()),
  /** `http` is one that claims jobs and has no link. */
  about: v.optional(v.object({ ...About.entries, kind: v.picklist([...About.entries.kind.options, 'http']) })),
  /** Since when it is known. */
  since: Count,
  capacity: Count,
  /** Takes no other job for now. */
  quiet: v.optional(v.boolean()),
  /** Since when its link is gone: its jobs go to others `workerGraceMs` after that. */
  goneAt: v.optional(Count),
  /** How many jobs it holds, and up to `workerJobs` of them: id, since when, and until when at most. */
  holding: Count,
  jobs: v.array(v.tuple([Positive, Count, Count])),
})
/** `next`: `after` of the next page; left out on the last one. */
export const WorkersResult = v.object({ workers: v.array(WorkerFacts), next: v.optional(WorkerPlace) })

export type About = v.InferOutput<typeof About>
export type WorkerFacts = v.InferOutput<typeof WorkerFacts>
export type WorkersResult = v.InferOutput<typeof WorkersResult>
