import type { Ask, Usage } from './ask.ts'
import { isDigits } from './characters.ts'
import type { Effect, HistoryBound, Limit, Outcome, Rule, UsageLimit } from './policy.ts'

/** What a set of rules answers. `defer`: none of them decides, others may. */
export interface Decision {
  readonly effect: Effect | 'defer'
  /** The rule, or the default, asks for a record. */
  readonly log: boolean
  readonly reason: Reason
  /** The rule that decided, or that would have, had its limit or a look-up not been in the way. */
  readonly rule?: Rule
  /** What the rule allows only up to here. The one about rates is for whoever counts. */
  readonly limits?: readonly Limit[]
  readonly from?: HistoryBound
}

/** `limit`: a rule allows it, and not so much. `unknown`: something a rule asks for could not be found out. */
export type Reason = 'rule' | 'limit' | 'unknown' | 'default' | 'nobody' | 'quota' | 'name'

export function byDefault({ effect, log }: Outcome, reason: Reason = 'default'): Decision {
  return { effect, log, reason }
}

/** The answer of the rule that matched. A broken limit makes an allowing rule deny, and leaves a denying one as it is. */
export function byRule(rule: Rule, ask: Ask): Decision {
  const { effect, log } = rule
  if (effect === 'deny') return { effect, log, reason: 'rule', rule }
  if (rule.limits.some((limit) => breaks(limit, ask))) return { effect: 'deny', log, reason: 'limit', rule }
  const limits = rule.limits.filter((limit) => isAbout(limit, ask))
  return { effect, log, reason: 'rule', rule, limits, from: rule.from ?? 'grant' }
}

export function byUnknown(rule: Rule): Decision {
  return { effect: 'deny', log: false, reason: 'unknown', rule }
}

export function breaks(limit: Limit, ask: Ask): boolean {
  switch (limit.kind) {
    case 'property':
      return breaksProperty(limit, ask.text(limit.property))
    case 'usage':
      return isAbout(limit, ask) && breaksUsage(limit, ask.usage)
    case 'rate':
      return false
  }
}

function isAbout(limit: Limit, { action }: Ask): boolean {
  return limit.kind === 'property' || limit.actions.includes(action)
}

/** A bound of 0 never restricts. What is no whole number from 0 breaks any other. */
function breaksProperty(
  { least = 0n, most = 0n }: Extract<Limit, { kind: 'property' }>,
  text: string | undefined,
): boolean {
  const value = text === undefined ? undefined : wholeNumber(text)
  if (value === undefined) return least !== 0n || most !== 0n
  return (least !== 0n && value < least) || (most !== 0n && value > most)
}

export function wholeNumber(text: string): bigint | undefined {
  return isDigits(text) && text.length <= MOST_DIGITS ? BigInt(text) : undefined
}

const MOST_DIGITS = 32

/** What is held before has to stay below the limit; what is asked for may reach it. */
function breaksUsage({ name, most }: Extract<Limit, { kind: 'usage' }>, usage: Usage): boolean {
  const [used, mayReach] = USED[name](usage)
  if (used === undefined) return false
  return mayReach ? !(used <= most) : !(used < most)
}

const USED: Readonly<Record<UsageLimit, (usage: Usage) => readonly [number | undefined, boolean]>> = {
  connections: ({ connections }) => [connections, false],
  'connections-per-address': ({ connectionsPerAddress }) => [connectionsPerAddress, false],
  subscriptions: ({ subscriptions }) => [subscriptions, false],
  bytes: ({ bytes }) => [bytes, true],
  depth: ({ depth }) => [depth, true],
}
