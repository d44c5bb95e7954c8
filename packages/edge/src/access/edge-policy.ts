import { type Fault, fault } from '@messkit/sdk/protocol'
import { turnedAway } from '../audit/decision.ts'
import { recordDenial } from '../audit/denials.ts'
import type { Env } from '../env.ts'
import { stubOf } from '../objects/resource-stub.ts'
import { directoryOf } from '../objects/stubs.ts'
import { Judge, NO_LAYER } from './judge.ts'
import type { ConnectionLimits } from './limits.ts'
import { layerOf, type News, NO_NEWS, readNews, revokedOf } from './news.ts'
import { keyOf, type Resource } from './resource.ts'
import type { Visitor } from './visitor.ts'

/** A Worker's copy of the policy is asked about again when it is this old. Nobody is turned away by a copy that was not asked about just now. */
const FRESH_MS = 1_000

interface Copy {
  readonly news: News
  readonly judge: Judge
  readonly askedAt: number
}

/** By directory: tests have several in one isolate. */
const copies = new WeakMap<object, Copy>()

/**
 * Whether it is worth asking the topic or queue at all: the first look, before any object is made or woken. Here those are turned away whom nothing
 * lets in; it is asked ahead where only rules of its own could.
 * @returns how many connections they may hold
 */
export async function mayEnter(visitor: Visitor, resource: Resource, env: Env): Promise<ConnectionLimits | Fault> {
  const { kind, name } = resource
  try {
    const { judge, news } = await copyFor(env, FRESH_MS)
    const limits = judge.connecting(visitor)
    if (limits && judge.judge(visitor, kind, name).rights !== 0) return limits
    const found = await directoryOf(env).lookUp(news.version, keyOf(resource))
    const newest = found.news ? (await keep(env, found.news)).judge : judge
    const { rights, log } = newest.judge(visitor, kind, name)
    if (rights === 0 && found.own) {
      // Before they are counted: that they have no place left would tell them that there is something to come into.
      const refused = await stubOf(env, resource).admits(visitor)
      if (refused) return fault(refused)
    } else if (rights === 0) {
      if (log !== 0) recordDenial(env, turnedAway(newest, visitor, { resource, log }))
      return fault('forbidden')
    }
    return newest.connecting(visitor) ?? fault('forbidden')
  } catch (error) {
    console.error('the policy could not be learned:', error)
    return fault('policy_unavailable')
  }
}

/** The newest policy, at most so old. */
export async function copyFor(env: Env, maxAgeMs: number): Promise<Copy> {
  const known = copies.get(env.DIRECTORY)
  const ageMs = Date.now() - (known?.askedAt ?? 0)
  // A clock that was set back would make it young for long.
  if (known && ageMs >= 0 && ageMs < maxAgeMs) return known
  return keep(env, await directoryOf(env).news(known?.news.version ?? -1))
}

/** @param text `undefined` if what is known is the newest */
async function keep(env: Env, text: string | undefined): Promise<Copy> {
  const askedAt = Date.now()
  const known = copies.get(env.DIRECTORY)
  const news = text === undefined ? undefined : readNews(text)
  if (known && (news?.version ?? -1) <= known.news.version) {
    const copy = { ...known, askedAt }
    copies.set(env.DIRECTORY, copy)
    return copy
  }
  const newest = news ?? NO_NEWS
  const judge = await Judge.make({ deployment: layerOf(newest), own: NO_LAYER }, revokedOf(newest))
  const copy = { news: newest, judge, askedAt }
  copies.set(env.DIRECTORY, copy)
  return copy
}
