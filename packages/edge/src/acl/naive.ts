import type { Ask, Caller } from './ask.ts'
import { holdsAll } from './conditions.ts'
import { byDefault, byRule, byUnknown, type Decision } from './decision.ts'
import { identitiesOf } from './identities.ts'
import { isName } from './names.ts'
import { covers, DEFER, DENY, type Outcome, type Policy, type Rule } from './policy.ts'
import { overQuota } from './quotas.ts'

/**
 * The reference: tries the rules one after the other, and the first that matches decides. It is here to be read and to be compared
 * with; what runs per request is `compile.ts`, which has to answer the same.
 */
export function decideNaively(policy: Policy, caller: Caller, ask: Ask): Decision {
  const identities = identitiesOf(policy, caller)
  if (isNobody(policy, caller)) return byDefault(DEFER, 'nobody')
  if (isMisnamed(policy, ask)) return byDefault(DENY, 'name')
  const decision = decideByRules(policy, { caller, identities, ask })
  return decision.effect === 'allow' && overQuota(policy.quotas, caller, ask)
    ? { effect: 'deny', log: false, reason: 'quota' }
    : decision
}

interface Question {
  readonly caller: Caller
  readonly identities: ReadonlySet<string>
  readonly ask: Ask
}

function decideByRules(policy: Policy, { caller, identities, ask }: Question): Decision {
  let isMentioned = false
  for (const rule of policy.rules) {
    if (!covers(rule, ask)) continue
    isMentioned = true
    if (!concerns(rule, { caller, identities, ask })) continue
    const held = holdsAll(rule.where, caller, ask)
    if (held === 'unknown') return byUnknown(rule)
    if (held) return byRule(rule, ask)
  }
  return byDefault(otherwise(policy, ask, isMentioned))
}

/** Is the caller one of those the rule is about? */
export function concerns({ who }: Rule, { caller, identities, ask }: Question): boolean {
  if (who.kind === 'all') return true
  if (who.kind === 'owner') return isOwner(caller, ask)
  return who.keys.some((key) => identities.has(key))
}

/** Who made the thing that is asked about, and proved to be it. */
export function isOwner({ user, issuer, authenticated }: Caller, ask: Ask): boolean {
  if (!authenticated || user === undefined) return false
  return ask.properties.get('createdby') === user && ask.properties.get('createdbyissuer') === issuer
}

/** With nobody to ask about, the rules of `broker-j` say nothing; in the other dialects those for all still count. */
export function isNobody({ dialect }: Policy, { user, groups }: Caller): boolean {
  return dialect === 'broker-j' && user === undefined && groups.length === 0
}

/** What is no name is not a name of anything: neither a pattern nor another spelling gets past a rule. */
export function isMisnamed({ dialect }: Policy, { object, name }: Ask): boolean {
  return dialect === 'native' && object !== 'server' && name !== undefined && !isName(name)
}

export function otherwise({ otherwise }: Policy, { action, object }: Ask, isMentioned: boolean): Outcome {
  if (otherwise.connection && action === 'create' && object === 'connection') return otherwise.connection
  return isMentioned ? otherwise.unmatched : otherwise.unmentioned
}
