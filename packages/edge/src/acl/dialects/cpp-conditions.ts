import { wholeNumber } from '../decision.ts'
import { bound, refuse } from '../errors.ts'
import { type AddressRange, addressRange, parseAddress } from '../network.ts'
import { hasPlaceholder } from '../placeholders.ts'
import type { Condition, Limit } from '../policy.ts'
import type { PropertyStatement } from '../statements.ts'
import { LIMITS, POLICY_TYPES } from './cpp-words.ts'

/** Names that stand for addresses. Nothing is looked up here, so any other name is refused. */
const NAMED_HOSTS: ReadonlyMap<string, readonly string[]> = new Map([['localhost', ['127.0.0.1', '::1']]])

const MOST_LIMIT = 2n ** 63n - 2n
const BLANK_EXCHANGE = 'amq.default'

export function conditionsOf({ name, values }: PropertyStatement, line: number): Condition[] {
  const [value] = values as readonly [string]
  const limit = LIMITS.get(name)
  if (limit) return [{ kind: 'present', property: limit.property }]
  if (name === 'policytype' && !POLICY_TYPES.has(value))
    refuse('bad-property-value', line, `a policy type is one of ${[...POLICY_TYPES].join(', ')}`)
  const placeholders = hasPlaceholder(value)
  if (name === 'routingkey') {
    const pattern = value.split('.')
    bound('patternLevels', pattern.length, line)
    const levels = { pattern, placeholders: placeholders ? ('recognise' as const) : ('none' as const) }
    return [{ kind: 'levels', property: name, separator: '.', anyOf: [levels], guarded: true }]
  }
  const prefix = value.endsWith('*')
  const text = { text: prefix ? value.slice(0, -1) : value, prefix, placeholders }
  return [{ kind: 'text', property: name, anyOf: [text], guarded: true }]
}

/** `amq.default` stands for the exchange without a name; publishing, it stands for nothing else. */
export function withBlank(condition: Condition, actions: readonly string[]): Condition {
  if (condition.kind !== 'text' || condition.property !== 'name') return condition
  const anyOf = condition.anyOf.map((text) =>
    text.text === BLANK_EXCHANGE && !text.prefix
      ? { ...text, blank: actions.includes('publish') ? ('only' as const) : ('also' as const) }
      : text,
  )
  return { ...condition, anyOf }
}

export function limitsOf({ name, values }: PropertyStatement, line: number): Limit[] {
  const limit = LIMITS.get(name)
  if (!limit) return []
  const value = wholeNumber(values[0] as string)
  if (value === undefined || value > MOST_LIMIT)
    refuse('bad-property-value', line, 'a limit is a whole number below 2^63 - 1')
  return [{ kind: 'property', property: limit.property, [limit.bound]: value }]
}

export function rangesOf(host: string, line: number): AddressRange[] {
  const parts = host.split(',')
  const named = NAMED_HOSTS.get(host)
  const pairs = named
    ? named.map((address) => [address, address])
    : [[parts[0] as string, (parts[1] ?? parts[0]) as string]]
  if (parts.length > 2) refuse('bad-host', line, 'a host is one address, or the first and the last of a range')
  return pairs.map(([first, last]) => {
    const range = [first, last].map((text) => parseAddress(undecorated(text as string)))
    const [low, high] = range
    const parsed = low && high && addressRange(low, high)
    return (
      parsed ?? refuse('bad-host', line, 'a host is an address, two of one family in rising order, localhost, or all')
    )
  })
}

function undecorated(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
}
