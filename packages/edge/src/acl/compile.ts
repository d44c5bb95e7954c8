import type { Ask, Caller } from './ask.ts'
import { byDefault, type Decision } from './decision.ts'
import { identitiesOf } from './identities.ts'
import { isMisnamed, isNobody, isOwner, otherwise } from './naive.ts'
import { DEFER, DENY, type Policy, type Rule } from './policy.ts'
import { overQuota } from './quotas.ts'
import { EVERYBODY, OWNER, Search } from './search.ts'
import { SlotTable } from './slot-table.ts'

/**
 * The same answers as `decideNaively`, without trying rule by rule. Rules are sorted once: by action and object, by name, and by whom
 * they are about. A question looks where rules about it can be, and the lowest one that matches decides. Nothing is remembered from one
 * question to the next, so no answer for one caller can ever be given to another.
 */
export class CompiledPolicy {
  readonly policy: Policy
  readonly #identities = new Map<string, number>()
  readonly #slots: SlotTable
  readonly #hasOwners: boolean

  /** @param rules some of the policy's, in their order; all by default */
  constructor(policy: Policy, rules: readonly Rule[] = policy.rules) {
    this.policy = policy
    this.#slots = new SlotTable(rules, (rule) => this.#identitiesOf(rule))
    this.#hasOwners = rules.some(({ who }) => who.kind === 'owner')
  }

  /** Who this is to the rules. Bind once for a connection: it changes with the token, the directory and the policy. */
  bind(caller: Caller): BoundCaller {
    const identities = [EVERYBODY]
    for (const key of identitiesOf(this.policy, caller)) {
      const known = this.#identities.get(key)
      if (known !== undefined) identities.push(known)
    }
    return { caller, identities, isNobody: isNobody(this.policy, caller) }
  }

  decide(bound: BoundCaller, ask: Ask): Decision {
    if (bound.isNobody) return byDefault(DEFER, 'nobody')
    if (isMisnamed(this.policy, ask)) return byDefault(DENY, 'name')
    const decision = this.#decideByRules(bound, ask)
    return decision.effect === 'allow' && overQuota(this.policy.quotas, bound.caller, ask)
      ? { effect: 'deny', log: false, reason: 'quota' }
      : decision
  }

  #decideByRules({ caller, identities }: BoundCaller, ask: Ask): Decision {
    const slots = this.#slots.about(ask)
    const isOwned = this.#hasOwners && isOwner(caller, ask)
    const search = new Search(caller, ask, isOwned ? [...identities, OWNER] : identities)
    for (const slot of slots) slot.search(search)
    return search.found?.decide(caller, ask) ?? byDefault(otherwise(this.policy, ask, slots.length > 0))
  }

  #identitiesOf({ who }: Rule): number[] {
    if (who.kind !== 'any') return [who.kind === 'all' ? EVERYBODY : OWNER]
    return [...new Set(who.keys)].map((key) => {
      const known = this.#identities.get(key) ?? FIRST_IDENTITY + this.#identities.size
      this.#identities.set(key, known)
      return known
    })
  }
}

/** One caller as one policy sees them: worthless with any other policy. */
export interface BoundCaller {
  readonly caller: Caller
  /** Those that rules are about; everybody is one of them. */
  readonly identities: readonly number[]
  readonly isNobody: boolean
}

const FIRST_IDENTITY = OWNER + 1
