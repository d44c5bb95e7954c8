import { LIMITS, nameFault } from '@messkit/sdk/protocol'
import { isDigits } from '../characters.ts'
import { bound, refuse } from '../errors.ts'
import { ANY, type LevelPattern, ONE } from '../levels.ts'
import { type Network, parseNetwork } from '../network.ts'
import { USER } from '../placeholders.ts'
import {
  type Condition,
  type Effect,
  EVERY,
  type HistoryBound,
  type Limit,
  type Rule,
  type UsageLimit,
  type Who,
} from '../policy.ts'
import type { PropertyStatement, RuleStatement } from '../statements.ts'
import { ACTIONS_ON, type Action, OBJECT_KINDS, type ObjectKind, SEPARATOR } from '../vocabulary.ts'
import { keyOf } from './native-identity.ts'
import { LIMITED } from './native-statement.ts'

/** What a line means, or why it cannot mean anything. */
export function toRule(statement: RuleStatement, order: number): Rule {
  const { line, must, permission, properties } = statement
  const [effect, log] = permission.split('-') as [Effect, string?]
  const issuers = properties.find(({ name }) => name === 'issuer')?.values
  const { actions, objects } = coverageOf(statement)
  const about = { effect, actions, line }
  const from = historyBound(properties, about)
  const who = whoOf(statement, issuers)
  return {
    order,
    line,
    effect,
    log: log === 'log',
    must,
    who,
    actions,
    objects,
    where: properties.flatMap((property) => conditionOf(property, { ...about, objects, who })),
    limits: properties.flatMap((property) => limitOf(property, about)),
    ...(from === undefined ? {} : { from }),
  }
}

/** The pairs that a rule can be about; none is a mistake. */
function coverageOf({ actions, object, identity, line }: RuleStatement): Pick<Rule, 'actions' | 'objects'> {
  const kinds = object === undefined || object === 'all' ? OBJECT_KINDS : [object as ObjectKind]
  for (const action of actions) {
    if (action === 'all') continue
    if (identity === 'owner' && action === 'create')
      refuse('action-not-allowed-for-object', line, 'nobody owns what is not created yet')
    if (!kinds.some((kind) => ACTIONS_ON[kind].includes(action as Action)))
      refuse(
        'action-not-allowed-for-object',
        line,
        `a ${kinds[0]} knows ${ACTIONS_ON[kinds[0] as ObjectKind].join(', ')}`,
      )
  }
  return {
    actions: actions.includes('all') ? EVERY : actions,
    objects: kinds.length > 1 ? EVERY : kinds,
  }
}

function whoOf({ identity, line }: RuleStatement, issuers: readonly string[] | undefined): Who {
  if (identity === 'all' || identity === 'owner') return { kind: identity }
  const of = identity.startsWith('user:') && issuers ? issuers : [undefined]
  return { kind: 'any', keys: of.map((issuer) => keyOf(identity, issuer, line) as string) }
}

interface About {
  readonly effect: Effect
  readonly actions: Rule['actions']
  readonly objects: Rule['objects']
  readonly who: Who
  readonly line: number
}

function conditionOf({ name, values }: PropertyStatement, { effect, actions, objects, who, line }: About): Condition[] {
  switch (name) {
    case 'name':
    case 'starts-with':
      if (!areNamed({ actions, objects })) refuse('impossible-property', line, 'the server has no name')
      return [name === 'name' ? nameCondition(values, line) : prefixCondition(values, line)]
    case 'network': {
      // An address that is not known gives nobody a right and takes it from everybody.
      const unknown = effect === 'deny'
      return [{ kind: 'network', anyOf: values.map((value) => networkOf(value, line)), unknown, unreadable: unknown }]
    }
    case 'issuer':
      // Of users it is a part of who they are.
      return who.kind === 'any' && who.keys.every((key) => key.startsWith('user'))
        ? []
        : [{ kind: 'issuer', anyOf: values }]
    case 'attributes':
      if (actions === EVERY || actions.length > 1 || actions[0] !== 'change')
        refuse('impossible-property', line, 'attributes are about the action change')
      return [{ kind: 'attributes', action: 'change', names: new Set(values) }]
    default:
      return []
  }
}

/** Is the rule about anything that has a name? */
function areNamed({ actions, objects }: Pick<Rule, 'actions' | 'objects'>): boolean {
  const kinds = OBJECT_KINDS.filter((kind) => kind !== 'server' && (objects === EVERY || objects.includes(kind)))
  return kinds.some((kind) => actions === EVERY || ACTIONS_ON[kind].some((action) => actions.includes(action)))
}

function nameCondition(values: readonly string[], line: number): Condition {
  const anyOf = values.map((value) => {
    const pattern = patternOf(value, line)
    return { pattern, placeholders: pattern.includes(USER) ? ('insert' as const) : ('none' as const) }
  })
  return { kind: 'levels', property: 'name', separator: SEPARATOR, anyOf, guarded: false }
}

function prefixCondition(values: readonly string[], line: number): Condition {
  const anyOf = values.map((text) => {
    // What begins like this has to be able to become a name.
    if (nameFault(text.endsWith(SEPARATOR) ? `${text}x` : text) !== undefined)
      refuse('bad-pattern', line, 'no name begins like this; patterns go into name=')
    return { text, prefix: true, placeholders: false }
  })
  return { kind: 'text', property: 'name', anyOf, guarded: false }
}

/** Levels of names, `*` for one level, `#` for any number of them, `${user}` for the caller. */
function patternOf(text: string, line: number): LevelPattern {
  const pattern = text.split(SEPARATOR)
  if (pattern.length > LIMITS.nameLevels) refuse('bad-pattern', line, `a name has ${LIMITS.nameLevels} levels at most`)
  const wild = new Set<string>([ONE, ANY, USER])
  // `a` may stand for any level in front, so that only the rest of the rules about names is looked at.
  for (const [at, level] of pattern.entries()) {
    const fault = wild.has(level) ? undefined : nameFault(at === 0 ? level : `a${SEPARATOR}${level}`)
    if (fault !== undefined) refuse('bad-pattern', line, `a level is a name, *, # or ${USER}`)
  }
  return pattern
}

function networkOf(value: string, line: number): Network {
  return (
    parseNetwork(value) ??
    refuse(
      'bad-property-value',
      line,
      'a network is an address, a block such as 10.0.0.0/8 or 2001:db8::/32, or 10.1.*',
    )
  )
}

function historyBound(
  properties: readonly PropertyStatement[],
  { effect, actions, line }: Pick<About, 'effect' | 'actions' | 'line'>,
): HistoryBound | undefined {
  const values = properties.find(({ name }) => name === 'from')?.values
  if (!values) return undefined
  const [from, more] = values.map((value) => value.toLowerCase())
  if ((from !== 'grant' && from !== 'all') || more !== undefined)
    refuse('bad-property-value', line, 'history is from=grant or from=all')
  if (effect === 'deny' || (actions !== EVERY && !actions.includes('history')))
    refuse('impossible-property', line, 'from= is about a rule that allows history')
  return from
}

function limitOf(
  { name, values }: PropertyStatement,
  { effect, actions, line }: Pick<About, 'effect' | 'actions' | 'line'>,
): Limit[] {
  if (!name.startsWith('limit-')) return []
  const limit = name.slice('limit-'.length) as UsageLimit | 'rate'
  if (effect === 'deny') refuse('impossible-property', line, 'limits are for rules that allow')
  if (actions !== EVERY && !actions.some((action) => LIMITED[limit].includes(action as Action)))
    refuse('impossible-property', line, `this limit is about ${LIMITED[limit].join(', ')}`)
  if (values.length > 1) refuse('duplicate-property', line, 'a limit has one value')
  const [value] = values as readonly [string]
  const about = { actions: LIMITED[limit] }
  if (limit === 'rate') return [{ kind: 'rate', ...about, ...rateOf(value, line) }]
  const most = countOf(value, line)
  if (LIMITED[limit].includes('connect')) bound('connections', most, line)
  return [{ kind: 'usage', name: limit, ...about, most }]
}

const MOST_DIGITS = 15
const PERIODS: ReadonlyMap<string, number> = new Map([
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
])

/** `50/s`, `600/m`, `1000/h`. */
function rateOf(value: string, line: number): { count: number; periodMs: number } {
  const [count, period, ...more] = value.split('/')
  const periodMs = PERIODS.get(period ?? '')
  if (periodMs === undefined || more.length > 0)
    refuse('bad-property-value', line, 'a rate is written as in 50/s, 600/m or 1000/h')
  const most = countOf(count as string, line)
  // Whoever goes over a rate is told when to come again.
  if (most === 0) refuse('bad-property-value', line, 'a rate is 1 at least; to allow none, write a rule that denies')
  bound('rateCount', most, line)
  return { count: most, periodMs }
}

function countOf(value: string, line: number): number {
  if (!isDigits(value)) refuse('bad-property-value', line, 'a limit is a whole number from 0 on, in digits')
  if (value.length > MOST_DIGITS) refuse('bad-property-value', line, `a limit has ${MOST_DIGITS} digits at most`)
  return Number(value)
}
