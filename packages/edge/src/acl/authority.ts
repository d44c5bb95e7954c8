import { Ask, type Caller } from './ask.ts'
import { type BoundCaller, CompiledPolicy } from './compile.ts'
import type { Decision } from './decision.ts'
import type { GrantRow, Grants } from './grants.ts'
import { groupKey, identitiesOf } from './identities.ts'
import { type LevelPattern, matchLevels } from './levels.ts'
import type { Effect, HistoryBound, Limit, Policy, Rule } from './policy.ts'
import { ACTION_BITS, ACTIONS_ON, type Action, isAction, type ObjectKind, SEPARATOR } from './vocabulary.ts'

/** What decides about one topic, one queue or the server. Made anew when a policy or a grant changes. */
export interface AuthorityParts {
  /** The deployment's rules. Those with `must` come before everything else. */
  readonly deployment: Policy
  /** The topic's or queue's own rules. */
  readonly own?: Policy
  /** The deployment's, and the topic's or queue's own. */
  readonly grants?: readonly Grants[]
}

/** A token may narrow what its user can do, and never widen it. */
export interface Capability {
  readonly mask: number
  readonly object: ObjectKind
  readonly name: LevelPattern
}

/** Who decided, in the order in which they are asked. */
export type Layer = 'capability' | 'must' | 'own' | 'deployment' | 'grant' | 'nobody'

export interface Ruling {
  readonly effect: Effect
  readonly by: Layer
  readonly log: boolean
  /** The answer of the rules, where they decided. */
  readonly decision?: Decision
  /** The rows that allow it, where grants did. */
  readonly rows?: readonly GrantRow[]
}

/** A connection as this authority sees it. Goes stale with it. */
export interface Bearer {
  readonly caller: Caller
  readonly capabilities: readonly Capability[] | undefined
  readonly must: BoundCaller
  readonly own: BoundCaller | undefined
  readonly deployment: BoundCaller
  readonly groups: readonly string[]
}

/** What a connection may do with one topic, queue or server: a mask to test per message, and what is to be counted. */
export interface Rights {
  readonly mask: number
  /** Those actions whose answer is to be recorded each time. */
  readonly log: number
  /** How far back may be read; only where history may be read at all. */
  readonly history?: HistoryRight
  readonly limits: Readonly<Partial<Record<Action, readonly Limit[]>>>
}

/** `since` is missing where a rule gives the right: then it counts from where the topic learned of it. */
export interface HistoryRight {
  readonly from: HistoryBound
  readonly since?: number
  /** The rule that gives it, and whose it is. */
  readonly rule?: Rule
  readonly by: Layer
}

/** Is the action among the rights? All that happens per message. */
export function may(mask: number, action: Action): boolean {
  return (mask & ACTION_BITS[action]) !== 0
}

/** Rules first, grants second, deny last. Pure: it reads no clock and no store, and it keeps nothing about callers. */
export class Authority {
  readonly #must: CompiledPolicy
  readonly #own: CompiledPolicy | undefined
  readonly #deployment: CompiledPolicy
  readonly #grants: readonly Grants[]

  constructor({ deployment, own, grants = [] }: AuthorityParts) {
    const { must, others } = compiledOnce(deployment)
    this.#must = must
    this.#deployment = others
    this.#own = own && compiledOwn(own)
    this.#grants = grants
  }

  /** Groups of the deployment's lines count everywhere; those of a topic's own lines only in its own rules. */
  bind(caller: Caller, capabilities?: readonly Capability[]): Bearer {
    const identities = identitiesOf(this.#deployment.policy, caller)
    const groups = [...identities].filter((key) => key.startsWith(GROUP)).map((key) => key.slice(GROUP.length))
    const known = { ...caller, groups }
    return {
      caller,
      capabilities,
      must: this.#must.bind(known),
      own: this.#own?.bind(known),
      deployment: this.#deployment.bind(known),
      groups,
    }
  }

  decide(bearer: Bearer, ask: Ask): Ruling {
    if (!isWithin(bearer.capabilities, ask)) return { effect: 'deny', by: 'capability', log: false }
    return (
      ruled('must', this.#must.decide(bearer.must, ask)) ??
      (bearer.own && ruled('own', this.#own?.decide(bearer.own, ask))) ??
      ruled('deployment', this.#deployment.decide(bearer.deployment, ask)) ??
      this.#granted(bearer, ask) ?? { effect: 'deny', by: 'nobody', log: false }
    )
  }

  /** All actions at once. Those about single attributes are allowed here if changing none is, and are asked about each time. */
  rights(bearer: Bearer, object: ObjectKind, name?: string): Rights {
    const limits: Partial<Record<Action, readonly Limit[]>> = {}
    let [mask, log] = [0, 0]
    let history: HistoryRight | undefined
    for (const action of ACTIONS_ON[object]) {
      const ruling = this.decide(bearer, new Ask(action, object, name === undefined ? {} : { name }))
      if (ruling.log) log |= ACTION_BITS[action]
      if (ruling.effect === 'deny') continue
      mask |= ACTION_BITS[action]
      if (ruling.decision?.limits?.length) limits[action] = ruling.decision.limits
      if (action === 'history') history = historyOf(ruling)
    }
    return { mask, log, limits, ...(history ? { history } : {}) }
  }

  #granted({ groups }: Bearer, { action, object, name }: Ask): Ruling | undefined {
    if (!isAction(action)) return undefined
    const bit = ACTION_BITS[action]
    const rows = this.#grants.flatMap((grants) => [...grants.rowsFor({ groups, type: object, name })])
    const allowing = rows.filter(({ mask }) => (mask & bit) !== 0)
    return allowing.length === 0 ? undefined : { effect: 'allow', by: 'grant', log: false, rows: allowing }
  }
}

const GROUP = groupKey('')

interface Compiled {
  readonly must: CompiledPolicy
  readonly others: CompiledPolicy
}

/** A deployment's rules are the same for all its topics, and may be most of what an isolate has in memory. */
const COMPILED = new WeakMap<Policy, Compiled>()

function compiledOnce(policy: Policy): Compiled {
  const known = COMPILED.get(policy)
  if (known) return known
  const rules = Map.groupBy(policy.rules, ({ must }) => must)
  const compiled = {
    must: new CompiledPolicy(policy, rules.get(true) ?? []),
    others: new CompiledPolicy(policy, rules.get(false) ?? []),
  }
  COMPILED.set(policy, compiled)
  return compiled
}

const OWN = new WeakMap<Policy, CompiledPolicy>()

/** A topic's own rules are no different for those with `must`: they stand behind the deployment's either way. */
function compiledOwn(policy: Policy): CompiledPolicy {
  const compiled = OWN.get(policy) ?? new CompiledPolicy(policy)
  OWN.set(policy, compiled)
  return compiled
}

function ruled(by: Layer, decision: Decision | undefined): Ruling | undefined {
  if (!decision || decision.effect === 'defer') return undefined
  return { effect: decision.effect, by, log: decision.log, decision }
}

function isWithin(capabilities: readonly Capability[] | undefined, ask: Ask): boolean {
  if (!capabilities) return true
  const bit = isAction(ask.action) ? ACTION_BITS[ask.action] : 0
  const { name } = ask
  return capabilities.some(
    (capability) =>
      (capability.mask & bit) !== 0 &&
      capability.object === ask.object &&
      (name === undefined ? ask.object === 'server' : matchLevels(capability.name, ask.levels(name, SEPARATOR))),
  )
}

/** Of several rows the widest counts. */
function historyOf({ by, decision, rows = [] }: Ruling): HistoryRight {
  if (decision) return { by, from: decision.from ?? 'grant', ...(decision.rule && { rule: decision.rule }) }
  if (rows.some(({ from }) => from === 'all')) return { by, from: 'all' }
  const points = rows.flatMap(({ since }) => since ?? [])
  return points.length === 0 ? { by, from: 'grant' } : { by, from: 'grant', since: Math.min(...points) }
}
