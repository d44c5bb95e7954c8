import { bound, refuse } from '../errors.ts'
import type { Token } from '../lexer.ts'
import type { UsageLimit } from '../policy.ts'
import { isSign, merge, type ReadProperty, readProperties } from '../properties.ts'
import type { PropertyStatement, RuleStatement } from '../statements.ts'
import { ACTIONS, type Action, actionOf, OBJECT_KINDS, objectKindOf } from '../vocabulary.ts'
import { keyOf } from './native-identity.ts'

const PERMISSIONS: ReadonlySet<string> = new Set(['allow', 'allow-log', 'deny', 'deny-log'])

/** A line without its `acl`: what it says, checked word by word. */
export function readRule(line: number, must: boolean, tokens: readonly Token[]): RuleStatement {
  const [permission, identity, ...more] = tokens
  if (!permission || !identity || more.length === 0)
    refuse('too-few-tokens', line, 'a rule is written acl permission identity action object')
  const permitted = permission.text.toLowerCase()
  if (!PERMISSIONS.has(permitted))
    refuse('unknown-permission', permission.line, 'a rule permits allow, allow-log, deny or deny-log')
  const [actions, [object, ...rest]] = readActions(more)
  const statement = {
    kind: 'rule' as const,
    line,
    must,
    permission: permitted,
    identity: identityOf(identity),
    actions,
  }
  if (!object) return { ...statement, properties: [] }
  const word = object.text.toLowerCase()
  const kind = word === 'all' ? 'all' : objectKindOf(word)
  if (!kind) refuse('unknown-object', object.line, `objects are all, ${OBJECT_KINDS.join(', ')}`)
  const properties = [...readProperties(rest)].map((property) => checkedProperty(property))
  return { ...statement, object: kind, properties: merge(properties) }
}

/** `publish` or `publish, subscribe`. */
function readActions(tokens: readonly Token[]): [string[], readonly Token[]] {
  const actions: string[] = []
  for (let at = 0; ; at += 2) {
    const token = tokens[at]
    if (!token) refuse('too-few-tokens', tokens.at(-1)?.line ?? 0, 'an action is missing')
    const word = token.text.toLowerCase()
    const action = word === 'all' ? 'all' : actionOf(word)
    if (!action) refuse('unknown-action', token.line, `actions are all, ${ACTIONS.join(', ')}`)
    actions.push(action)
    if (!isSign(tokens[at + 1], ',')) return [[...new Set(actions)], tokens.slice(at + 1)]
  }
}

/** Checked here, written as it was; keywords in lower case. */
function identityOf({ text, line }: Token): string {
  const word = text.toLowerCase()
  if (word === 'all' || word === 'owner') return word
  keyOf(text, undefined, line) ?? refuse('bad-identity', line, 'a rule is about all, owner, user:name or group:name')
  return word.slice(0, word.indexOf(':')) + text.slice(text.indexOf(':'))
}

const NAMES: ReadonlySet<string> = new Set(['name', 'starts-with', 'issuer', 'network', 'attributes', 'from'])

/** Which actions a limit is about. */
export const LIMITED: Readonly<Record<UsageLimit | 'rate', readonly Action[]>> = {
  connections: ['connect'],
  'connections-per-address': ['connect'],
  rate: ['publish', 'enqueue', 'announce'],
  bytes: ['publish', 'enqueue'],
  subscriptions: ['subscribe'],
  depth: ['history'],
}

function checkedProperty({ name: written, values, line }: ReadProperty): PropertyStatement {
  const name = written.toLowerCase().replaceAll('_', '-')
  const isLimit = name.startsWith('limit-') && Object.hasOwn(LIMITED, name.slice('limit-'.length))
  if (!NAMES.has(name) && !isLimit)
    refuse(
      'unknown-property',
      line,
      `properties are ${[...NAMES].join(', ')}, limit-${Object.keys(LIMITED).join(', limit-')}`,
    )
  const list = name === 'network' || name === 'attributes' ? values.flatMap((value) => value.split(',')) : values
  const trimmed = list.map((value) => value.trim())
  if (trimmed.includes('')) refuse('property-no-value', line, 'a value is blank')
  bound('valuesPerProperty', trimmed.length, line)
  return { name, values: trimmed }
}
