import { RIGHTS, type Right } from '@messkit/sdk/broker'
import { type Fault, fault, nameFault } from '@messkit/sdk/protocol'
import { NOTHING, readPolicy } from '../access/document.ts'
import { copyFor } from '../access/edge-policy.ts'
import { Judge, type Layer } from '../access/judge.ts'
import { layerOf, revokedOf } from '../access/news.ts'
import { keyOf, type Resource } from '../access/resource.ts'
import { type Visitor, visitorOf } from '../access/visitor.ts'
import type { Capability } from '../acl/authority.ts'
import { matchLevels } from '../acl/levels.ts'
import { SEPARATOR } from '../acl/vocabulary.ts'
import { addressOf } from '../auth/address.ts'
import { isRoot } from '../auth/admins.ts'
import { readAuthorization } from '../auth/bearer.ts'
import { originFault } from '../auth/origin.ts'
import { type User, verifyToken } from '../auth/token.ts'
import type { Env } from '../env.ts'
import { stubOf } from '../objects/resource-stub.ts'
import { directoryOf } from '../objects/stubs.ts'
import type { Need } from './calls.ts'
import { EVERYTHING, type Held } from './held.ts'

/** Who administers, with what. */
export interface Actor {
  readonly user: User
  readonly visitor: Visitor
  readonly root: boolean
  /** What they may do with the server. */
  readonly rights: number
  /** Rights on the server of which each use is to be recorded. */
  readonly log: number
}

/** By the token of the request. */
export async function enter(request: Request, env: Env): Promise<Actor | Fault> {
  const stranger = originFault(request, env.ALLOWED_ORIGINS)
  if (stranger) return stranger
  const bearer = readAuthorization(request.headers.get('authorization'))
  if ('code' in bearer) return bearer
  const user = await verifyToken(bearer.token, env)
  if ('code' in user) return user
  const visitor = await visitorOf(user, addressOf(request, env))
  const copy = await copyFor(env, 0).catch(unknown)
  if ('code' in copy) return copy
  const { judge } = copy
  // A narrowed token is no root's: what it may do is for the policy to say.
  const root = isRoot(user, env.ADMINS) && !judge.isVoid(visitor) && user.capabilities === undefined
  const { rights, log } = judge.judge(visitor, 'server')
  return { user, visitor, root, rights: root ? ALL : rights, log }
}

function unknown(error: unknown): Fault {
  console.error('the policy could not be learned:', error)
  return fault('policy_unavailable')
}

const ALL = Object.values(RIGHTS).reduce((mask, bit) => mask | bit, 0)

export const has = (rights: number, right: Right): boolean => (rights & RIGHTS[right]) !== 0

export const isAdmin = ({ rights }: Actor): boolean => has(rights, 'admin')

/** Whether the actor may make this call. */
export async function mayCall(actor: Actor, need: Need, resource: Resource | undefined, env: Env): Promise<boolean> {
  if (resource && nameFault(resource.name)) return false
  if (isAdmin(actor) || has(actor.rights, need.server)) return true
  if (!resource || need.own === undefined) return false
  const judge = await judgeOf(resource, env)
  return has(judge.judge(actor.visitor, resource.kind, resource.name).rights, need.own)
}

/** What the actor has to give away: an administrator everything, but no more than the token is good for. */
export async function heldBy(actor: Actor, resource: Resource | undefined, env: Env): Promise<Held> {
  const { capabilities } = actor.visitor
  if (isAdmin(actor) && !capabilities) return EVERYTHING
  if (isAdmin(actor) && capabilities) return resource ? goodFor(capabilities, resource) : { capabilities }
  if (!resource) return { kind: undefined, mask: 0, wholeHistory: false }
  const judge = await judgeOf(resource, env)
  const { kind, name } = resource
  if (judge.isVoid(actor.visitor)) return { kind, mask: 0, wholeHistory: false }
  const { mask, history, limits } = judge.authority.rights(judge.bind(actor.visitor), kind, name)
  // Whoever holds something within limits cannot give it to others without.
  const limited = Object.keys(limits).reduce((bits, action) => bits | RIGHTS[action as Right], 0)
  return { kind, mask: mask & ~limited, wholeHistory: history?.from === 'all' }
}

function goodFor(capabilities: readonly Capability[], { kind, name: asked }: Resource): Held {
  const levels = asked.split(SEPARATOR)
  const able = capabilities.filter(({ object, name }) => object === kind && matchLevels(name, levels))
  return { kind, mask: able.reduce((bits, { mask }) => bits | mask, 0), wholeHistory: true }
}

/** Decides for a topic or queue, whose own rules count, too. */
export async function judgeOf(resource: Resource, env: Env): Promise<Judge> {
  const { news } = await copyFor(env, 0)
  const own = (await directoryOf(env).hasOwn(keyOf(resource)))
    ? (await stubOf(env, resource).ownAccess()).document
    : NOTHING
  const layer: Layer = { policy: readPolicy({ ...own, tests: [] }), ruleSince: () => 0, grantSince: () => 0 }
  return Judge.make({ deployment: layerOf(news), own: layer }, revokedOf(news))
}
