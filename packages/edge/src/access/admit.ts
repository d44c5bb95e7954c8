import { type Fault, fault, nameFault } from '@messkit/sdk/protocol'
import { addressOf } from '../auth/address.ts'
import { verifyToken } from '../auth/token.ts'
import type { Env } from '../env.ts'
import { fitsAttachment } from '../objects/attachment.ts'
import { readRetention } from '../objects/retention.ts'
import { mayEnter } from './edge-policy.ts'
import type { ConnectionLimits } from './limits.ts'
import { takePlace } from './places.ts'
import type { Resource } from './resource.ts'
import { type Visitor, visitorOf } from './visitor.ts'

/**
 * Who stands at the door of a topic or queue, with a place where connections are counted; or why they may not come in. No object is woken or
 * made for who may not.
 */
export async function admit(
  bearer: { readonly token: string } | Fault,
  resource: Resource,
  { request, env }: { readonly request: Request; readonly env: Env },
): Promise<Visitor | Fault> {
  const wrong = nameFault(resource.name)
  if (wrong) return fault('bad_name', `the ${resource.kind} name ${wrong}`)
  if ('code' in bearer) return bearer
  const user = await verifyToken(bearer.token, env)
  if ('code' in user) return user
  if (!readRetention(env.RETENTION)) {
    console.error(
      'RETENTION is no JSON object with messages, ageMs or bytes, each a whole number from 1; nobody is let in',
    )
    return fault('internal')
  }
  const visitor = await visitorOf(user, addressOf(request, env))
  if (!fitsAttachment(visitor)) return fault('token_too_large')
  const limits = await mayEnter(visitor, resource, env)
  return 'code' in limits ? limits : seat(visitor, { resource, limits, env })
}

async function seat(
  visitor: Visitor,
  counted: { resource: Resource; limits: ConnectionLimits; env: Env },
): Promise<Visitor | Fault> {
  try {
    const place = await takePlace(visitor, counted)
    if (!place) return visitor
    return 'code' in place ? place : { ...visitor, place }
  } catch (error) {
    console.error('connections could not be counted:', error)
    return fault('policy_unavailable')
  }
}
