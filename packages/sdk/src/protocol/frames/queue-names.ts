import * as v from 'valibot'
import { EVERY_QUEUE } from '../every-queue.ts'
import { LIMITS } from '../limits.ts'
import { AuthenticateParams } from './authenticate.ts'
import { HelloParams } from './hello.ts'
import { Positive, TopicName } from './scalars.ts'

/** Which queues there are: asked on a link to all of them, at a name that no queue has. */

const Every = v.literal(EVERY_QUEUE)

/**
 * Client → broker: one page of the names of queues, in their order, behind `after`: those on which the user has this right, or without one
 * any of the two. Others are not told, whatever there is. A page is what is found in one reading, so it may be empty before the last one.
 */
export const QueuesParams = v.object({
  queue: Every,
  right: v.optional(v.picklist(['work', 'view'])),
  after: v.optional(TopicName),
  limit: v.optional(v.pipe(Positive, v.maxValue(LIMITS.queuesPerPage))),
})
/** `next`: `after` of the next page; left out on the last one. `follows`: this home says `more` by itself. */
export const QueuesResult = v.object({
  queues: v.array(v.string()),
  next: v.optional(v.string()),
  follows: v.optional(v.boolean()),
})
/** Broker → client: there may be queues that were not told. Ask again. */
export const MoreParams = v.object({ queue: Every })

/** Every method on a link to all queues. */
export const NAMES_REQUESTS = { hello: HelloParams, authenticate: AuthenticateParams, queues: QueuesParams } as const

type Method = keyof typeof NAMES_REQUESTS

/** Past the border where its frame was read. */
export type NamesRequest = {
  [M in Method]: {
    readonly method: M
    readonly id: number
    readonly params: v.InferOutput<(typeof NAMES_REQUESTS)[M]>
  }
}[Method]

export type QueuesParams = v.InferOutput<typeof QueuesParams>
export type QueuesResult = v.InferOutput<typeof QueuesResult>
