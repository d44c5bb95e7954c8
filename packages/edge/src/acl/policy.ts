import type { HostPattern } from './host-pattern.ts'
import type { LevelPattern } from './levels.ts'
import type { AddressRange, Network } from './network.ts'
import type { Quotas } from './quotas.ts'
import type { Statement } from './statements.ts'

/** The notations of rules. `broker-j-limits` has limits of connections instead of rules: see dialects/broker-j-limits.ts. */
export type RuleDialect = 'native' | 'broker-j' | 'cpp'
export type Effect = 'allow' | 'deny'

/** Ordered rules, whatever they were written in: what both evaluators, lint and explain work on. Plain data, made once by `parse`. */
export interface Policy {
  readonly dialect: RuleDialect
  /** What was written, line by line: for `format` and for telling people. */
  readonly statements: readonly Statement[]
  /** In the order in which they are tried. */
  readonly rules: readonly Rule[]
  /** By key of a user or group: the groups that it is in by lines of the policy, directly or by way of others. */
  readonly memberships: ReadonlyMap<string, readonly string[]>
  readonly groups: ReadonlySet<string>
  readonly otherwise: Otherwise
  readonly quotas?: Quotas
  /** What the dialect accepts and should not be written: lint tells it. */
  readonly notes: readonly Note[]
}

export interface Rule {
  /** Its place in the trial, from 0. */
  readonly order: number
  readonly line: number
  readonly effect: Effect
  readonly log: boolean
  /** Decides before the rules of a topic or queue do. */
  readonly must: boolean
  readonly who: Who
  readonly actions: readonly string[] | typeof EVERY
  readonly objects: readonly string[] | typeof EVERY
  /** All have to hold. */
  readonly where: readonly Condition[]
  /** Where one is broken, an allowing rule denies. */
  readonly limits: readonly Limit[]
  /** How far back this rule lets somebody read. Absent: from the grant on. */
  readonly from?: HistoryBound
}

/** `grant`: not further than to where the topic learned of the right. */
export type HistoryBound = 'grant' | 'all'

/** No word of any dialect, so no action or object can be called like it. */
export const EVERY = '*'

/** `keys` are those of users and groups, see identities.ts; any of them. */
export type Who =
  | { readonly kind: 'all' }
  | { readonly kind: 'owner' }
  | { readonly kind: 'any'; readonly keys: readonly string[] }

/** `guarded`: in the `cpp` dialect nobody may ask with the words that stand for callers; then the condition does not hold. */
export type Condition =
  | { readonly kind: 'present'; readonly property: string }
  | { readonly kind: 'text'; readonly property: string; readonly anyOf: readonly Text[]; readonly guarded: boolean }
  | { readonly kind: 'boolean'; readonly property: string; readonly anyOf: readonly boolean[] }
  | {
      readonly kind: 'levels'
      readonly property: string
      readonly separator: string
      readonly anyOf: readonly Levels[]
      readonly guarded: boolean
    }
  /** Every attribute that is changed is listed. Holds for actions other than `action`, which change none. */
  | { readonly kind: 'attributes'; readonly action: string; readonly names: ReadonlySet<string> }
  /** `unknown` is the answer for an address that is not known, `unreadable` for one that is none. */
  | {
      readonly kind: 'network'
      readonly anyOf: readonly Network[]
      readonly unknown: boolean
      readonly unreadable: boolean
    }
  | { readonly kind: 'range'; readonly anyOf: readonly AddressRange[] }
  | { readonly kind: 'hostname'; readonly anyOf: readonly HostPattern[] }
  | { readonly kind: 'issuer'; readonly anyOf: readonly string[] }

export interface Text {
  readonly text: string
  /** Anything may follow the text. */
  readonly prefix: boolean
  readonly placeholders: boolean
  /** `cpp`: asks for the empty value, too (or only, when publishing). */
  readonly blank?: 'also' | 'only'
}

export interface Levels {
  readonly pattern: LevelPattern
  /**
   * `insert`: a level `${user}` stands for the caller. `recognise`: the caller's name in what is asked becomes the placeholder, and that
   * is compared, as the C++ broker does.
   */
  readonly placeholders: 'none' | 'insert' | 'recognise'
}

/**
 * `property`: what is asked for is between both bounds, which are inclusive. `usage`: what is held before stays below `most`, what is
 * asked for does not go over it; 0 allows none. `rate` is for whoever counts over time.
 */
export type Limit =
  | { readonly kind: 'property'; readonly property: string; readonly least?: bigint; readonly most?: bigint }
  | { readonly kind: 'usage'; readonly name: UsageLimit; readonly actions: readonly string[]; readonly most: number }
  | { readonly kind: 'rate'; readonly actions: readonly string[]; readonly count: number; readonly periodMs: number }

/** What a native rule can limit by a plain number. `bytes` is the size of one message, `depth` the messages one may read back. */
export type UsageLimit = 'connections' | 'connections-per-address' | 'subscriptions' | 'bytes' | 'depth'

export interface Outcome {
  readonly effect: Effect | 'defer'
  readonly log: boolean
}

/** What is answered where no rule decides. */
export interface Otherwise {
  /** No rule at all is about this action and object. */
  readonly unmentioned: Outcome
  /** Some are, and none matched. */
  readonly unmatched: Outcome
  /** Connections of the `cpp` dialect, whose rules are a list of their own. */
  readonly connection?: Outcome
  /** What a deferral comes to when nobody else decides. */
  readonly final: Effect
}

export interface Note {
  readonly kind:
    | 'impossible-pair'
    | 'dropped-rule'
    | 'unknown-group'
    | 'unquoted-hash'
    | 'eaten-backslash'
    | 'duplicate-rule'
  readonly line: number
  readonly message: string
}

export const DENY: Outcome = { effect: 'deny', log: false }
export const ALLOW: Outcome = { effect: 'allow', log: false }
export const DEFER: Outcome = { effect: 'defer', log: false }

/** Is the rule about this action on this object? */
export function covers(rule: Rule, { action, object }: { readonly action: string; readonly object: string }): boolean {
  return (
    (rule.actions === EVERY || rule.actions.includes(action)) &&
    (rule.objects === EVERY || rule.objects.includes(object))
  )
}
