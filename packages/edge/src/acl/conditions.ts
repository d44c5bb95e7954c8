import type { Ask, Caller } from './ask.ts'
import { matchHost } from './host-pattern.ts'
import { matchLevels } from './levels.ts'
import { inNetwork, inRange } from './network.ts'
import { hasPlaceholder, insertCaller, recogniseCaller, USER } from './placeholders.ts'
import type { Condition, Levels, Text } from './policy.ts'

/** `unknown`: what it would take to tell could not be found out, and the dialect wants that to deny. */
export type Held = boolean | 'unknown'

/** Do all conditions hold? Looked at in their order; the first that does not hold ends it. */
export function holdsAll(where: readonly Condition[], caller: Caller, ask: Ask): Held {
  for (const condition of where) {
    const held = holds(condition, caller, ask)
    if (held !== true) return held
  }
  return true
}

export function holds(condition: Condition, caller: Caller, ask: Ask): Held {
  switch (condition.kind) {
    case 'present':
      return ask.value(condition.property) !== undefined
    case 'text':
      return holdsText(condition, caller, ask)
    case 'levels':
      return holdsLevels(condition, caller, ask)
    case 'boolean':
      return holdsBoolean(condition.anyOf, ask.value(condition.property))
    case 'attributes':
      return ask.action !== condition.action || changed(ask).every((name) => condition.names.has(name))
    case 'network':
      return holdsNetwork(condition, caller)
    case 'range':
      return condition.anyOf.some((range) => caller.address !== undefined && inRange(caller.address, range))
    case 'hostname':
      return holdsHostname(condition, caller)
    case 'issuer':
      return condition.anyOf.includes(caller.issuer ?? '')
  }
}

export function matchText(
  { text, prefix, placeholders, blank }: Text,
  value: string,
  user: string | undefined,
): boolean {
  if (blank !== undefined && value === '') return true
  if (blank === 'only') return false
  if (placeholders && user === undefined) return false
  // Whether anything may follow is the rule's to say: a star in the caller's name is a letter.
  const wanted = placeholders ? insertCaller(text, user as string) : text
  return prefix ? value.startsWith(wanted) : value === wanted
}

function holdsText(condition: Extract<Condition, { kind: 'text' }>, caller: Caller, ask: Ask): boolean {
  const value = ask.text(condition.property)
  if (value === undefined || (condition.guarded && hasPlaceholder(value))) return false
  return condition.anyOf.some((text) => matchText(text, value, caller.user))
}

function holdsLevels(condition: Extract<Condition, { kind: 'levels' }>, caller: Caller, ask: Ask): boolean {
  const { anyOf, property, separator, guarded } = condition
  const value = ask.text(property)
  if (value === undefined || (guarded && hasPlaceholder(value))) return false
  return anyOf.some((levels) => matchOne(levels, value, { separator, caller, ask }))
}

interface Where {
  readonly separator: string
  readonly caller: Caller
  readonly ask: Ask
}

function matchOne({ pattern, placeholders }: Levels, value: string, { separator, caller, ask }: Where): boolean {
  const { user } = caller
  if (placeholders === 'none') return matchLevels(pattern, ask.levels(value, separator))
  // A user of another issuer is somebody else, also under the same name.
  if (user === undefined || caller.issuer !== undefined) return false
  if (placeholders === 'recognise') return matchLevels(pattern, recogniseCaller(value, user).split(separator))
  return matchLevels(insertLevel(pattern, user), ask.levels(value, separator))
}

/** The caller's name as a level. One that is no legal level is in no legal name either, so it matches nothing. */
function insertLevel(pattern: readonly string[], user: string): readonly string[] {
  return pattern.map((level) => (level === USER ? asLiteral(user) : level))
}

/** A user may be called `#`; as a level of a pattern that has to stay a name that nothing has. */
function asLiteral(user: string): string {
  return user === '*' || user === '#' ? `\0${user}` : user
}

function holdsBoolean(anyOf: readonly boolean[], value: unknown): boolean {
  const said = typeof value === 'string' ? TRUTH.get(value.toLowerCase()) : value
  return typeof said === 'boolean' && anyOf.includes(said)
}

const TRUTH: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
])

function changed(ask: Ask): readonly string[] {
  const names = ask.properties.get('attributes')
  return typeof names === 'string' ? [names] : typeof names === 'object' ? names : []
}

function holdsNetwork(condition: Extract<Condition, { kind: 'network' }>, { address }: Caller): boolean {
  const { anyOf, unknown, unreadable } = condition
  if (address === undefined) return unknown
  if (address.family === 0) return unreadable
  return anyOf.some((network) => inNetwork(address, network))
}

function holdsHostname({ anyOf }: Extract<Condition, { kind: 'hostname' }>, { address, hostname }: Caller): Held {
  if (address === undefined && hostname === undefined) return true
  if (hostname === undefined || hostname === null) return 'unknown'
  return anyOf.some((pattern) => matchHost(pattern, hostname))
}
