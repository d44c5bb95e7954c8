import { parseBrokerJ } from './dialects/broker-j.ts'
import { type ConnectionLimits, parseConnectionLimits } from './dialects/broker-j-limits.ts'
import { parseCpp } from './dialects/cpp.ts'
import { parseNative } from './dialects/native.ts'
import { refuse } from './errors.ts'
import type { Policy, RuleDialect } from './policy.ts'

export type Dialect = RuleDialect | 'broker-j-limits'

/**
 * Reads a policy. One bad line refuses it whole.
 * @throws {PolicyError} with the kind and the line of what is wrong
 */
export function parse(text: string, options: { readonly dialect: RuleDialect }): Policy
export function parse(text: string, options: { readonly dialect: Dialect }): Policy | ConnectionLimits
export function parse(text: string, { dialect }: { readonly dialect: Dialect }): Policy | ConnectionLimits {
  const read = DIALECTS.get(dialect)
  return read ? read(text) : refuse('unknown-dialect', 0, `dialects are ${[...DIALECTS.keys()].join(', ')}`)
}

const DIALECTS: ReadonlyMap<string, (text: string) => Policy | ConnectionLimits> = new Map<
  string,
  (text: string) => Policy | ConnectionLimits
>([
  ['native', parseNative],
  ['broker-j', parseBrokerJ],
  ['broker-j-limits', parseConnectionLimits],
  ['cpp', parseCpp],
])

export function isDialect(name: unknown): name is Dialect {
  return typeof name === 'string' && DIALECTS.has(name)
}
