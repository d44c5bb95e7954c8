import * as v from 'valibot'
import { AuthenticateParams } from './authenticate.ts'
import { HelloParams } from './hello.ts'
import { HistoryParams } from './history.ts'
import { PublishParams } from './publish.ts'
import { RequestId } from './scalars.ts'
import { CreditParams, SubscribeParams, UnsubscribeParams } from './subscribe.ts'

/** Every method that a client may call. `credit` is a notification, the rest are answered. */
export const REQUESTS = {
  hello: HelloParams,
  authenticate: AuthenticateParams,
  subscribe: SubscribeParams,
  unsubscribe: UnsubscribeParams,
  credit: CreditParams,
  publish: PublishParams,
  history: HistoryParams,
} as const

export type Method = keyof typeof REQUESTS
export type Params<M extends Method> = v.InferOutput<(typeof REQUESTS)[M]>

/** JSON-RPC's frame around a request; unknown fields are ignored. */
export const Envelope = v.object({
  jsonrpc: v.literal('2.0'),
  id: v.optional(RequestId),
  method: v.string(),
  params: v.record(v.string(), v.unknown()),
})
