import { ALL_RIGHTS, type Identity } from '../../packages/sdk/src/broker/machine.ts'
import { RIGHTS } from '../../packages/sdk/src/broker/rights.ts'
import { splitLines } from '../../packages/sdk/src/protocol/answers.ts'
import { LINE_BREAK } from '../../packages/sdk/src/protocol/codec.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { Random } from './random.ts'
import type { World } from './world.ts'

/** How rights change in a history, on average so many ms after the last change. */
export interface RightsSwarm {
  readonly everyMs: number
}

/** Share of histories in which rights change. */
const SHARE = 0.3
/** Chosen so that rights stay as they are in the seeds of `regressions.ts` that were found before they could change. */
const SALT = 259

/** Numbers of their own: a history in which rights stay as they are is the one that it would be without this file. */
const stream = (seed: number): Random => new Random(Math.imul(seed, 0x9e37) ^ SALT)

export function drawRights(seed: number): RightsSwarm | undefined {
  const random = stream(seed)
  return random.chance(SHARE) ? { everyMs: random.pick([500, 2_000, 8_000]) } : undefined
}

/** What is taken away, in one change. */
const TAKEN = {
  'right to publish taken': RIGHTS.publish,
  'right to subscribe taken': RIGHTS.subscribe,
  'right to history taken': RIGHTS.history,
  'all rights taken': ALL_RIGHTS,
} as const

/** What happens to the rights of a user. */
export const CHANGES = [
  ...(Object.keys(TAKEN) as (keyof typeof TAKEN)[]),
  'bound of history moved',
  'rights given back',
] as const

/** What a campaign has to have met. */
export const RIGHTS_FAULTS = [
  ...CHANGES,
  'rights changed while asleep',
  'rights changed while a page was read',
] as const

interface Standing {
  readonly rights: number
  readonly historyFrom: number
  /** Nothing below this offset may be sent: whoever may not read back sees what comes from then on. */
  readonly bound: number
}

interface User {
  /** What the policy says, by which the home is told to judge. */
  now: Standing
  /** Counts the changes: what an earlier one leads to is no matter once there is another. */
  change: number
  /** The bound by which they are judged here: a higher one counts once whoever raised it was told so. */
  bound: number
  /** The farthest offset that such a bound has ever been at: no gap for want of a right reaches beyond. */
  farthest: number
  /** Written down with every frame. */
  readonly served: { readonly subscribe: HistoryEvent; readonly history: HistoryEvent }
}

const ALL: Standing = { rights: ALL_RIGHTS, historyFrom: 0, bound: 0 }
/** Rights without which nothing is sent. */
const WATCHED = ['subscribe', 'history'] as const
const has = ({ rights }: Pick<Standing, 'rights'>, right: 'publish' | (typeof WATCHED)[number]): boolean =>
  (rights & RIGHTS[right]) !== 0
const GAP = '{"jsonrpc":"2.0","method":"gap"'
const DELIVER = '{"jsonrpc":"2.0","method":"deliver"'
const PAGE = /^\{"jsonrpc":"2.0","id":\d+,"result":\{"epoch":"[^"]*","more"/
const STARTED = /^\{"jsonrpc":"2.0","id":\d+,"result":\{"cursor"/
const PUBLISHED = /"publisher":"([^"]+)","after":\d+,"first":(\d+)/
const IDS = /"ids":\["([^"]+)",(\d+)\]/
const FIRST = /"first":(\d+),"next":(\d+)/

/**
 * The policy of the simulated topic, which changes while it is used, and who watches that it is kept. What is taken away is
 * written down once the change is acknowledged, what is given back before it is made: in between either may be seen.
 */
export class Rights {
  readonly #world: World
  readonly #random: Random
  readonly #everyMs: number
  readonly #users: readonly string[]
  #atRead = false
  readonly #standing = new Map<string, User>()

  constructor(world: World, seed: number, { everyMs }: RightsSwarm, users: readonly string[]) {
    this.#world = world
    this.#random = stream(-seed)
    this.#everyMs = everyMs
    this.#users = users
  }

  /** What somebody may do by the policy as it is now. */
  judge(identity: Identity): Identity {
    const { rights, historyFrom } = this.#of(identity.user).now
    const { historyFrom: _, ...who } = identity
    return { ...who, rights, ...(historyFrom > 0 && { historyFrom }) }
  }

  #of(name = ''): User {
    const known = this.#standing.get(name)
    if (known) return known
    const served = (right: string): HistoryEvent => ({ e: 'served', sub: `${name} may ${right}` })
    const events = { subscribe: served('subscribe'), history: served('history') }
    const user: User = { now: ALL, change: 0, bound: 0, farthest: 0, served: events }
    this.#standing.set(name, user)
    return user
  }

  // ---- changes

  start(): void {
    this.#world.clock.in(-Math.log(1 - this.#random.next()) * this.#everyMs, () => {
      if (!this.#world.chaos) return
      // The worst moment is when a page is being read for whoever loses the right to it.
      if (this.#world.swarm.store === 'all later' && this.#random.chance(0.5)) this.#atRead = true
      else this.#changeOne()
      this.start()
    })
  }

  #changeOne(): void {
    this.#change(this.#random.pick(this.#users), this.#random.pick(CHANGES))
  }

  /** The home waits for a page. */
  reading(): void {
    if (!this.#atRead) return
    this.#atRead = false
    this.#world.clock.in(0, () => {
      if (!this.#world.chaos) return
      this.#world.fault('rights changed while a page was read')
      this.#changeOne()
    })
  }

  /** For good: the right to subscribe, or all of them. */
  takeForGood(user: string): void {
    this.#take(user, this.#random.pick(['right to subscribe taken', 'all rights taken'] as const))
  }

  /** Everybody has all rights again. */
  giveAll(): void {
    for (const user of this.#users) this.#set(user, ALL)
  }

  /** The topic is made anew, and inherits no bounds. */
  topicLost(): void {
    for (const [name, user] of this.#standing) {
      user.farthest = this.farthest(name)
      user.now = { ...user.now, historyFrom: 0, bound: 0 }
      user.change++
      user.bound = 0
    }
  }

  #change(user: string, change: (typeof CHANGES)[number]): void {
    if (change === 'bound of history moved') this.#moveBound(user, change)
    else if (change === 'rights given back') this.#giveBack(user, change)
    else this.#take(user, change)
  }

  #take(user: string, change: keyof typeof TAKEN): void {
    const { rights, historyFrom } = this.#of(user).now
    const taken = TAKEN[change]
    if ((rights & taken) === 0) return
    this.#world.fault(change)
    this.#set(user, { rights: rights & ~taken, historyFrom })
  }

  #moveBound(user: string, change: string): void {
    const { rights } = this.#of(user).now
    this.#world.fault(change)
    this.#set(user, { rights, historyFrom: this.#random.between(0, this.#world.server.disk.head) })
  }

  #giveBack(user: string, change: string): void {
    const { rights, historyFrom } = this.#of(user).now
    if (rights === ALL_RIGHTS && historyFrom === 0) return
    this.#world.fault(change)
    // A right that is given anew begins where its topic learned of it, unless it says otherwise.
    this.#set(user, { rights: ALL_RIGHTS, historyFrom: this.#random.chance(0.5) ? 0 : this.#world.server.disk.head })
  }

  #set(name: string, { rights, historyFrom }: Pick<Standing, 'rights' | 'historyFrom'>): void {
    const { server } = this.#world
    const user = this.#of(name)
    const change = ++user.change
    const since = has(user.now, 'history') ? server.disk.head : user.now.bound
    const bound = has({ rights }, 'history') ? historyFrom : since
    const after: Standing = { rights, historyFrom, bound }
    for (const right of WATCHED)
      if (!has(user.now, right) && has(after, right)) this.#world.record({ e: 'granted', sub: `${name} may ${right}` })
    const before = user.now
    if (!has(before, 'publish') && has(after, 'publish')) server.noticeLeft(name)
    user.bound = Math.min(user.bound, bound)
    const apply = (): void => {
      user.farthest = this.farthest(name)
      user.now = after
    }
    server.judge(name, apply, () => {
      // What was asked before it knew may have been answered by the rights from before.
      user.farthest = Math.max(user.farthest, this.#boundOf(before))
      if (user.change !== change) return
      for (const right of WATCHED)
        if (!has(after, right)) this.#world.record({ e: 'revoked', sub: `${name} may ${right}` })
      user.bound = bound
      if (bound > 0) this.#world.record({ e: 'revoked', sub: `${name} may read below its bound` })
    })
  }

  // ---- what is seen

  /** How far a gap for want of a right may reach. */
  farthest(name: string): number {
    const { now, farthest } = this.#of(name)
    return Math.max(farthest, this.#boundOf(now))
  }

  #boundOf(standing: Standing): number {
    return has(standing, 'history') ? standing.bound : this.#world.server.disk.head
  }

  /** A publish frame reaches the home. */
  arrived(name: string | undefined, text: string): void {
    const may = has(this.#of(name).now, 'publish')
    const { head, body } = splitLines(text) ?? { head: '', body: '' }
    const [, publisher = '', first] = PUBLISHED.exec(head) ?? []
    const [origin, number] = IDS.exec(head)?.slice(1) ?? [publisher, first]
    for (let i = 0; i < body.split(LINE_BREAK).length; i++)
      this.#world.record({ e: 'arrived', id: `${origin}-${Number(number) + i}`, may })
  }

  /** A frame leaves the home. */
  sent(name: string | undefined, text: string): void {
    const told = text.startsWith(DELIVER) || text.startsWith(GAP)
    const page = !told && PAGE.test(text)
    if (!told && !page && !STARTED.test(text)) return
    const { bound, served } = this.#of(name)
    this.#world.record(page ? served.history : served.subscribe)
    if (bound === 0) return
    const [, first, next] = FIRST.exec(text) ?? []
    if (first !== next && Number(first) < bound)
      this.#world.record({ e: 'served', sub: `${name} may read below its bound` })
  }
}
