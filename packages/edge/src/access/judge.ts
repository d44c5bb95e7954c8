import { Ask, type Caller } from '../acl/ask.ts'
import { Authority, type Bearer, type HistoryRight, type Rights } from '../acl/authority.ts'
import { parseAddress } from '../acl/network.ts'
import { EVERY } from '../acl/policy.ts'
import type { Action, ObjectKind } from '../acl/vocabulary.ts'
import { digestOf } from './digest.ts'
import { grantsOf, mentionedGroups, NOTHING, type ReadPolicy, readPolicy } from './document.ts'
import { type ConnectionLimits, connectionLimits } from './limits.ts'
import type { Visitor } from './visitor.ts'

/** What is decided for one visitor at one topic, queue or the server. */
export interface Verdict {
  readonly rights: number
  /** Offset of the first message that the right to history covers. */
  readonly historyFrom: number
  readonly limits: Rights['limits']
  /** Actions whose answer is to be recorded. */
  readonly log: number
}

/** A policy as one place knows it: `since` says for each rule and grant from where on it lets somebody read back. */
export interface Layer {
  readonly policy: ReadPolicy
  readonly ruleSince: (place: number) => number
  readonly grantSince: (place: number) => number
}

export const NO_LAYER: Layer = { policy: readPolicy(NOTHING), ruleSince: () => 0, grantSince: () => 0 }

/** Users and tokens that count no more, whoever signed for them. */
export interface Revoked {
  /** Digest of a token's own name. */
  readonly tokens: ReadonlySet<string>
  /** By key of a user: tokens issued before this moment, in ms, are void. */
  readonly users: ReadonlyMap<string, number>
  /** By digest of a group: whoever was in it by a token issued before this moment is not by that token. */
  readonly groups: ReadonlyMap<string, number>
}

export const NONE_REVOKED: Revoked = { tokens: new Set(), users: new Map(), groups: new Map() }

/** Names of the groups that a policy speaks of, by their digests. */
type Groups = ReadonlyMap<string, string>

const GROUPS = new WeakMap<ReadPolicy, Groups>()

async function groupsOf(policy: ReadPolicy): Promise<Groups> {
  const known = GROUPS.get(policy)
  if (known) return known
  const names = [...mentionedGroups(policy)]
  const groups = new Map(await Promise.all(names.map(async (name) => [await digestOf(name), name] as const)))
  GROUPS.set(policy, groups)
  return groups
}

/** Decides for one place, asking nobody. Made anew when a policy changes. */
export class Judge {
  readonly #authority: Authority
  readonly #groups: readonly Groups[]
  readonly #revoked: Revoked
  readonly #layers: { readonly deployment: Layer; readonly own: Layer }

  private constructor(
    layers: { deployment: Layer; own: Layer },
    { groups, revoked }: { groups: readonly Groups[]; revoked: Revoked },
  ) {
    const { deployment, own } = layers
    this.#layers = layers
    this.#groups = groups
    this.#revoked = revoked
    this.#authority = new Authority({
      deployment: deployment.policy.policy,
      own: own.policy.policy,
      grants: [grantsOf(deployment.policy.grants, deployment.grantSince), grantsOf(own.policy.grants, own.grantSince)],
    })
  }

  static async make(layers: { deployment: Layer; own: Layer }, revoked: Revoked): Promise<Judge> {
    const groups = [await groupsOf(layers.deployment.policy), await groupsOf(layers.own.policy)]
    return new Judge(layers, { groups, revoked })
  }

  judge(visitor: Visitor, object: ObjectKind, name?: string): Verdict {
    if (this.isVoid(visitor)) return { rights: 0, historyFrom: 0, limits: {}, log: 0 }
    const { mask, history, limits, log } = this.#authority.rights(this.bind(visitor), object, name)
    return { rights: mask, historyFrom: this.#historyFrom(history), limits, log }
  }

  /**
   * How many connections somebody may hold; `undefined` if none. It is asked of everybody whom a topic lets in, so only a rule that says
   * `connect` keeps somebody out. A token that narrows what its user may do does not free them of their limits.
   */
  connecting(visitor: Visitor): ConnectionLimits | undefined {
    const bearer = this.#authority.bind(this.#callerOf(visitor))
    const { effect, decision } = this.#authority.decide(bearer, new Ask('connect', 'server'))
    if (effect === 'allow') return connectionLimits(decision?.limits)
    return decision?.rule && decision.rule.actions !== EVERY ? undefined : {}
  }

  get authority(): Authority {
    return this.#authority
  }

  /** Whether any decision is to be recorded at all. */
  get logs(): boolean {
    return [this.#layers.deployment, this.#layers.own].some(({ policy }) => policy.policy.rules.some(({ log }) => log))
  }

  /** What decides, for a record: `deployment line 3`. */
  ruleFor(visitor: Visitor, { action, object, name }: { action: Action; object: ObjectKind; name: string }): string {
    const { by, decision } = this.#authority.decide(this.bind(visitor), new Ask(action, object, { name }))
    return decision?.rule ? `${by} line ${decision.rule.line}` : by
  }

  bind(visitor: Visitor): Bearer {
    return this.#authority.bind(this.#callerOf(visitor), visitor.capabilities)
  }

  /** Revoked: it counts for nothing. */
  isVoid({ key, token, issuedAt }: Visitor): boolean {
    const { tokens, users } = this.#revoked
    return (token !== undefined && tokens.has(token)) || issuedAt < (users.get(key) ?? Number.NEGATIVE_INFINITY)
  }

  #callerOf({ user, issuer, groups, address, issuedAt }: Visitor): Caller {
    const known = address === undefined ? undefined : parseAddress(address)
    return {
      user,
      ...(issuer !== undefined && { issuer }),
      groups: groups.flatMap((digest) => {
        const name = this.#groups.find((groups) => groups.has(digest))?.get(digest)
        return name === undefined || issuedAt < (this.#revoked.groups.get(digest) ?? 0) ? [] : [name]
      }),
      authenticated: true,
      ...(known && { address: known }),
    }
  }

  #historyFrom(history: HistoryRight | undefined): number {
    if (!history || history.from === 'all') return 0
    if (history.since !== undefined) return history.since
    const { rule, by } = history
    const layer = by === 'own' ? this.#layers.own : this.#layers.deployment
    return rule ? layer.ruleSince(rule.order) : 0
  }
}
