import type { UserLimits } from '@messkit/sdk/broker'
import type { Limit, UsageLimit } from '../acl/policy.ts'
import type { Verdict } from './judge.ts'

/** What a user's links to one topic or queue are limited to. `undefined`: nothing. */
export function userLimits({ publish, enqueue, subscribe, history }: Verdict['limits']): UserLimits | undefined {
  // A topic knows the one, a queue the other.
  const sent = publish ?? enqueue
  const rate = sent?.find((limit) => limit.kind === 'rate')
  const messageBytes = most(sent, 'bytes')
  const subscriptions = most(subscribe, 'subscriptions')
  const depth = most(history, 'depth')
  const limits: UserLimits = {
    ...(rate && { rate: { count: rate.count, periodMs: rate.periodMs } }),
    ...(messageBytes !== undefined && { messageBytes }),
    ...(subscriptions !== undefined && { subscriptions }),
    ...(depth !== undefined && { depth }),
  }
  return Object.keys(limits).length > 0 ? limits : undefined
}

/** How many connections somebody may hold at the same time, over all topics. */
export interface ConnectionLimits {
  readonly perUser?: number
  readonly perAddress?: number
}

export function connectionLimits(limits: readonly Limit[] | undefined): ConnectionLimits {
  const perUser = most(limits, 'connections')
  const perAddress = most(limits, 'connections-per-address')
  return { ...(perUser !== undefined && { perUser }), ...(perAddress !== undefined && { perAddress }) }
}

function most(limits: readonly Limit[] | undefined, name: UsageLimit): number | undefined {
  const found = limits?.find((limit) => limit.kind === 'usage' && limit.name === name)
  return found?.kind === 'usage' ? found.most : undefined
}
