import { type Fault, fault } from '@messkit/sdk/protocol'
import { addressKey } from '../auth/address.ts'
import type { Env } from '../env.ts'
import { limiterName } from '../objects/object-name.ts'
import { limiterOf } from '../objects/stubs.ts'
import type { ConnectionLimits } from './limits.ts'
import { keyOf, type Resource } from './resource.ts'
import type { Place, Visitor } from './visitor.ts'

/** How long it takes, at least, until a connection that is in the way may be gone. */
const AGAIN_MS = 5_000

/**
 * A place for one more connection, where a policy limits them: asked for when it is known who comes and before anything is made for them, and
 * given back by the object of the topic or queue when the link ends.
 * @returns `undefined` where nothing is counted
 */
export async function takePlace(
  { key, address }: Visitor,
  { resource, limits, env }: { resource: Resource; limits: ConnectionLimits; env: Env },
): Promise<Place | Fault | undefined> {
  const id = crypto.randomUUID()
  const taken: string[] = []
  for (const [limiter, most, what] of countersOf(limits, key, address)) {
    if (!(await takeOne(env, limiter, { id, at: keyOf(resource), most }))) {
      await leavePlace({ id, limiters: taken }, env)
      return {
        ...fault('limit_reached', `${what}: the policy allows ${most} connections at the same time`),
        retryAfterMs: AGAIN_MS,
      }
    }
    taken.push(limiter)
  }
  return taken.length > 0 ? { id, limiters: taken } : undefined
}

type Counter = readonly [limiter: string, most: number, what: string]

function countersOf({ perUser, perAddress }: ConnectionLimits, key: string, address: string | undefined): Counter[] {
  return [
    ...(perUser === undefined ? [] : [[limiterName('user', key), perUser, 'limit-connections'] as const]),
    ...(perAddress === undefined
      ? []
      : [[limiterName('address', addressKey(address)), perAddress, 'limit-connections-per-address'] as const]),
  ]
}

async function takeOne(env: Env, limiter: string, wanted: { id: string; at: string; most: number }) {
  // Whoever may hold none needs nobody to count them.
  return wanted.most > 0 && limiterOf(env, limiter).take(wanted)
}

/** Where it is lost, the place is found to be empty when it is needed. */
export async function leavePlace({ id, limiters }: Place, env: Env): Promise<void> {
  const leave = async (limiter: string): Promise<void> => {
    try {
      await limiterOf(env, limiter).leave(id)
    } catch (error) {
      console.error('a limiter could not be told that a place is free:', error)
    }
  }
  await Promise.all(limiters.map(leave))
}
