import { canonical } from '../ask.ts'
import { bound, refuse } from '../errors.ts'
import { type HostPattern, parseHostPattern } from '../host-pattern.ts'
import { anyKey } from '../identities.ts'
import type { Token } from '../lexer.ts'
import { type Network, parseNetwork } from '../network.ts'
import { type Condition, EVERY, type Rule, type Who } from '../policy.ts'
import { merge, readProperties } from '../properties.ts'
import type { PropertyStatement, RuleStatement } from '../statements.ts'

const PERMISSIONS: ReadonlySet<string> = new Set(['allow', 'allow-log', 'deny', 'deny-log'])

const ON: Readonly<Record<string, readonly string[]>> = {
  virtualhostnode: ['create', 'delete', 'update', 'invoke'],
  virtualhost: ['access', 'create', 'delete', 'update', 'access_logs', 'invoke'],
  management: ['access'],
  queue: ['create', 'delete', 'purge', 'consume', 'update', 'invoke'],
  exchange: ['access', 'create', 'delete', 'bind', 'unbind', 'publish', 'update', 'invoke'],
  method: ['access', 'update'],
  user: ['create', 'delete', 'update', 'invoke'],
  group: ['create', 'delete', 'update', 'invoke'],
  broker: ['configure', 'access_logs', 'shutdown', 'invoke'],
}
const ACTIONS: ReadonlyMap<string, readonly string[]> = new Map(Object.entries(ON))
const KNOWN_ACTIONS: ReadonlySet<string> = new Set(['all', ...Object.values(ON).flat()])

const BOOLEANS: ReadonlySet<string> = new Set(['durable', 'exclusive', 'temporary', 'autodelete'])
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(['connectionlimit', 'connectionfrequencylimit'])

/** In the order in which the reference looks at them: a host name is looked up only where what stands in front of it matches. */
const PROPERTIES: readonly string[] = [
  'routingkey',
  'name',
  'queuename',
  'owner',
  'type',
  'alternate',
  'durable',
  'exclusive',
  'temporary',
  'autodelete',
  'component',
  'package',
  'class',
  'fromnetwork',
  'fromhostname',
  'virtualhostname',
  'methodname',
  'attributes',
  'createdby',
  ...WITHOUT_EFFECT,
]

export function readRule(line: number, tokens: readonly Token[]): RuleStatement {
  const [permission, identity, action, object] = tokens
  if (!permission || !identity || !action)
    refuse('too-few-tokens', line, 'a rule is written ACL permission identity action')
  const statement = {
    kind: 'rule' as const,
    line,
    must: false,
    permission: readPermission(permission),
    identity: identity.text,
    actions: [readAction(action)],
  }
  if (!object) return { ...statement, properties: [] }
  const named = readObject(object)
  const properties = [...namedProperties(tokens.slice(4))]
  const fits =
    named === 'all' || statement.actions[0] === 'all' || ACTIONS.get(named)?.includes(statement.actions[0] as string)
  if (!fits)
    refuse('action-not-allowed-for-object', line, `${named.toUpperCase()} knows ${ACTIONS.get(named)?.join(', ')}`)
  return { ...statement, object: named, properties: merge(properties) }
}

function readPermission({ text, line }: Token): string {
  const permission = text.toLowerCase().replace('_', '-')
  if (!PERMISSIONS.has(permission))
    refuse('unknown-permission', line, 'a rule permits ALLOW, ALLOW-LOG, DENY or DENY-LOG')
  return permission
}

function readAction({ text, line }: Token): string {
  const action = text.toLowerCase()
  if (!KNOWN_ACTIONS.has(action)) refuse('unknown-action', line, `actions are ${[...KNOWN_ACTIONS].join(', ')}`)
  return action
}

function readObject({ text, line }: Token): string {
  const object = text.toLowerCase()
  if (object !== 'all' && !ACTIONS.has(object))
    refuse('unknown-object', line, `objects are all, ${[...ACTIONS.keys()].join(', ')}`)
  return object
}

function* namedProperties(tokens: readonly Token[]): Generator<PropertyStatement> {
  const firewalls = new Set<string>()
  for (const { name: written, values, line } of readProperties(tokens)) {
    const spelled = canonical(written)
    const name = spelled === 'attributenames' ? 'attributes' : spelled
    if (!PROPERTIES.includes(name)) refuse('unknown-property', line, `properties are ${PROPERTIES.join(', ')}`)
    if (name.startsWith('from')) firewalls.add(name)
    if (firewalls.size > 1) refuse('conflicting-properties', line, 'a rule has from_network or from_hostname, not both')
    for (const value of values) if (BOOLEANS.has(name)) booleanOf(value.trim(), line)
    const single = isList(name) ? values.flatMap(splitList) : values
    bound('valuesPerProperty', single.length, line)
    yield { name, values: single.map((value) => value.trim()) }
  }
}

/** Nothing behind the last comma is no value. */
function splitList(value: string): string[] {
  const values = value.split(',')
  while (values.length > 1 && values.at(-1) === '') values.pop()
  return values
}

const isList = (name: string): boolean => name === 'attributes' || name.startsWith('from')

export function toRule(
  { line, permission, identity, actions, object, properties }: RuleStatement,
  order: number,
): Rule {
  const [effect, log] = permission.split('-') as ['allow' | 'deny', string?]
  const named = properties.filter(({ name }) => !WITHOUT_EFFECT.has(name))
  const inOrder = named.toSorted((a, b) => PROPERTIES.indexOf(a.name) - PROPERTIES.indexOf(b.name))
  return {
    order,
    line,
    effect,
    log: log === 'log',
    must: false,
    who: whoOf(identity),
    actions: actions[0] === 'all' ? EVERY : actions,
    objects: object === undefined || object === 'all' ? EVERY : [object],
    where: inOrder.map((property) => conditionOf(property, line)),
    limits: [],
  }
}

function whoOf(identity: string): Who {
  const word = identity.toLowerCase()
  return word === 'all' || word === 'owner' ? { kind: word } : { kind: 'any', keys: [anyKey(identity)] }
}

function conditionOf({ name, values }: PropertyStatement, line: number): Condition {
  if (name === 'fromnetwork') {
    const anyOf = values.map((value) => networkOf(value, line))
    return { kind: 'network', anyOf, unknown: true, unreadable: false }
  }
  if (name === 'fromhostname') return { kind: 'hostname', anyOf: values.map((value) => hostnameOf(value, line)) }
  if (name === 'attributes') return { kind: 'attributes', action: 'update', names: new Set(values) }
  // A star alone asks for any value, and with it so does the whole list; nothing between quotes does the same.
  if (values.some((value) => value === '' || value === '*')) return { kind: 'present', property: name }
  if (BOOLEANS.has(name))
    return { kind: 'boolean', property: name, anyOf: values.map((value) => booleanOf(value, line)) }
  return { kind: 'text', property: name, guarded: false, anyOf: values.map(textOf) }
}

function textOf(value: string): { text: string; prefix: boolean; placeholders: false } {
  const prefix = value.endsWith('*')
  return { text: prefix ? value.slice(0, -1) : value, prefix, placeholders: false }
}

/** Everything that is not true is false, which is the dialect's own idea. A star stands for the rest of either word. */
function booleanOf(value: string, line: number): boolean {
  const word = value.toLowerCase()
  if (!word.endsWith('*')) return word === 'true'
  const prefix = word.slice(0, -1)
  if ('true'.startsWith(prefix)) return true
  if (!'false'.startsWith(prefix)) refuse('bad-property-value', line, 'this property is true or false')
  return false
}

function networkOf(value: string, line: number): Network {
  return (
    parseNetwork(value) ??
    refuse('bad-property-value', line, 'a network is an address, a block such as 10.0.0.0/8, or 10.1.*')
  )
}

function hostnameOf(value: string, line: number): HostPattern {
  return parseHostPattern(value) ?? refuse('bad-property-value', line, 'a pattern for host names is not understood')
}

/** Rules that ask for the same have the same one. */
export function meaningOf({ identity, actions, object, properties }: RuleStatement): string {
  const asked = properties
    .filter(({ name }) => !WITHOUT_EFFECT.has(name))
    .map(
      ({ name, values }) =>
        [name, values.some((value) => value === '' || value === '*') ? ['*'] : values.toSorted()] as const,
    )
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([identity, actions, object ?? 'all', asked])
}
