import type { Ask, Caller } from './ask.ts'
import { Authority, type AuthorityParts, type Capability, type Layer, type Ruling } from './authority.ts'
import { ACL_BOUNDS } from './bounds.ts'
import { holds } from './conditions.ts'
import type { Decision } from './decision.ts'
import { formatLimit, formatStatement } from './format.ts'
import { identitiesOf } from './identities.ts'
import { concerns, decideNaively } from './naive.ts'
import { type Condition, covers, type Limit, type Policy, type Rule } from './policy.ts'

/** A rule about the action and object, and what became of it. */
export interface Step {
  readonly line: number
  readonly rule: string
  readonly outcome: 'matched' | 'not matched' | 'unknown'
  /** What did not hold: `identity`, or the name of a property. */
  readonly because?: string
}

export interface Explanation {
  readonly decision: Decision
  /** The rules that were tried, in their order; at most {@link ACL_BOUNDS.explainSteps}, the last ones. */
  readonly steps: readonly Step[]
  readonly tried: number
  /** For a person who may read the policy. */
  readonly sentence: string
}

/** Why is the answer what it is? Goes the way of the reference, rule by rule. */
export function explain(policy: Policy, caller: Caller, ask: Ask): Explanation {
  const decision = decideNaively(policy, caller, ask)
  const isTried = decision.reason !== 'nobody' && decision.reason !== 'name'
  const steps = isTried ? stepsOf(policy, caller, ask) : []
  const sentence = sentenceOf(decision, { steps, ask, final: policy.otherwise.final })
  return { decision, steps: steps.slice(-ACL_BOUNDS.explainSteps), tried: steps.length, sentence }
}

function stepsOf(policy: Policy, caller: Caller, ask: Ask): Step[] {
  const identities = identitiesOf(policy, caller)
  const written = new Map(policy.statements.map((statement) => [statement.line, statement]))
  const steps: Step[] = []
  for (const rule of policy.rules) {
    if (!covers(rule, ask)) continue
    const statement = written.get(rule.line)
    const text = statement ? formatStatement(statement, policy.dialect) : ''
    const step = concerns(rule, { caller, identities, ask })
      ? tryRule(rule, caller, ask)
      : ({ outcome: 'not matched', because: 'identity' } as const)
    steps.push({ line: rule.line, rule: text, ...step })
    if (step.outcome !== 'not matched') break
  }
  return steps
}

function tryRule({ where }: Rule, caller: Caller, ask: Ask): Pick<Step, 'outcome' | 'because'> {
  for (const condition of where) {
    const held = holds(condition, caller, ask)
    if (held !== true) return { outcome: held === 'unknown' ? 'unknown' : 'not matched', because: nameOf(condition) }
  }
  return { outcome: 'matched' }
}

function nameOf(condition: Condition): string {
  return 'property' in condition ? condition.property : condition.kind
}

interface Told {
  readonly steps: readonly Step[]
  readonly ask: Ask
  readonly final: string
}

function sentenceOf({ effect, reason, limits = [] }: Decision, { steps, ask, final }: Told): string {
  const last = steps.at(-1)
  const by = last ? `line ${last.line}, ${last.rule}` : ''
  const what = whatOf(ask)
  const rules = steps.length === 1 ? 'one rule that was' : `${steps.length} rules that were`
  switch (reason) {
    case 'rule':
      return `${what} is ${PAST[effect]} by ${by}: the first to match of ${rules} tried.${upTo(limits)}`
    case 'limit':
      return `${what} is denied: ${by}, allows it, but not so much.`
    case 'unknown':
      return `${what} is denied: ${by}, asks for the ${last?.because}, which could not be found out.`
    case 'quota':
      return `${what} is denied: the caller holds as many as the quota allows.`
    case 'name':
      return `${what} is denied: this is not a name.`
    case 'nobody':
      return `${what} is left open: there is nobody to decide about. If nobody else decides, it is ${PAST[final]}.`
    case 'default':
      return defaultSentence(effect, { what, tried: steps.length, final })
  }
}

function upTo(limits: readonly Limit[]): string {
  const texts = limits.flatMap((limit) => formatLimit(limit) ?? [])
  return texts.length === 0 ? '' : ` It is limited to ${texts.join(' and ')}.`
}

function whatOf({ action, object, name }: Ask): string {
  return `${action} ${object}${name === undefined ? '' : ` ${JSON.stringify(name)}`}`
}

function defaultSentence(
  effect: string,
  { what, tried, final }: { what: string; tried: number; final: string },
): string {
  const none = tried === 0 ? 'no rule is about it' : `none of the rules about it matched, ${tried} tried`
  if (effect !== 'defer') return `${what} is ${PAST[effect]} by default: ${none}.`
  return `${what} is left open: ${none}. If nobody else decides, it is ${PAST[final]}.`
}

/** Why a topic, a queue or the server answers as it does: layer by layer, up to the one that decided. */
export interface RulingExplanation {
  readonly ruling: Ruling
  readonly layers: readonly (Explanation & { readonly layer: Layer })[]
  readonly sentence: string
}

export function explainRuling(parts: AuthorityParts, asking: Asking): RulingExplanation {
  const { ask, capabilities } = asking
  const authority = new Authority(parts)
  const bearer = authority.bind(asking.caller, capabilities)
  const ruling = authority.decide(bearer, ask)
  const caller = { ...asking.caller, groups: bearer.groups }
  const layers: (Explanation & { layer: Layer })[] = []
  for (const [layer, policy] of ruling.by === 'capability' ? [] : layersOf(parts)) {
    layers.push({ layer, ...explain(policy, caller, ask) })
    if (layer === ruling.by) break
  }
  return { ruling, layers, sentence: rulingSentence(ruling, layers.at(-1)?.sentence, ask) }
}

export interface Asking {
  readonly caller: Caller
  readonly capabilities?: readonly Capability[]
  readonly ask: Ask
}

function layersOf({ deployment, own }: AuthorityParts): [Layer, Policy][] {
  const only = (must: boolean): Policy => ({
    ...deployment,
    rules: deployment.rules.filter((rule) => rule.must === must),
  })
  return [['must', only(true)], ...(own ? [['own', own] as [Layer, Policy]] : []), ['deployment', only(false)]]
}

function rulingSentence({ by, rows }: Ruling, ofRules: string | undefined, ask: Ask): string {
  const what = whatOf(ask)
  if (by === 'capability') return `${what} is denied: the token was made for less.`
  if (by === 'nobody') return `${what} is denied: no rule and no grant allows it.`
  if (by !== 'grant') return `${ofRules} The rule is one of ${OF[by]}.`
  const groups = [...new Set(rows?.map(({ group, name }) => `${group}${name === undefined ? '' : ` on ${name}`}`))]
  return `${what} is allowed: no rule decides, and it is granted to ${groups.join(', ')}.`
}

const OF = {
  must: "the deployment's that come first",
  own: 'its own',
  deployment: "the deployment's",
} as const

const PAST: Readonly<Record<string, string>> = { allow: 'allowed', deny: 'denied', defer: 'left open' }
