import type { Caller, Usage } from '../ask.ts'
import { isDigits } from '../characters.ts'
import { parseDuration } from '../durations.ts'
import { bound, Problems, refuse } from '../errors.ts'
import { type Line, readLines, type Token } from '../lexer.ts'
import { ALLOW, DENY, type Outcome } from '../policy.ts'
import { readProperties } from '../properties.ts'
import type { ConfigStatement, ConnectionLimitStatement, PropertyStatement } from '../statements.ts'
import { WORD } from './broker-j.ts'

/** How many connections a user may hold and open, in the notation of Apache Qpid Broker-J. */
export interface ConnectionLimits {
  readonly dialect: 'broker-j-limits'
  readonly statements: readonly (ConfigStatement | ConnectionLimitStatement)[]
  readonly rules: readonly LimitRule[]
}

export interface LimitRule {
  readonly line: number
  /** User, group, or `undefined` for all. */
  readonly identity: string | undefined
  /** `undefined`: every port. */
  readonly port: string | undefined
  readonly blocked: boolean
  /** `Infinity` is no limit, and a rule all the same. */
  readonly connections?: number
  readonly openings?: { readonly most: number; readonly periodMs: number }
}

/** What counts for a connection: of the port it comes in at, and how old the caller's earlier ones are, also those that are closed. */
export interface Connecting {
  readonly port?: string
  readonly usage?: Usage
  readonly recentSeconds?: readonly number[]
}

const MINUTE_MS = 60_000

/**
 * The rules for the user count; only if there are none, those for all of the user's groups; only then those for everybody. Together
 * they allow what all of them allow.
 */
export function decideConnection({ rules }: ConnectionLimits, caller: Caller, connecting: Connecting): Outcome {
  const { user, groups, authenticated } = caller
  if (user === undefined || !authenticated) return DENY
  const here = rules.filter(({ port }) => port === undefined || port === connecting.port)
  const own = here.filter(({ identity }) => identity === user)
  const ofGroups = here.filter(({ identity }) => identity !== undefined && groups.includes(identity))
  const ofAll = here.filter(({ identity }) => identity === undefined)
  const level = [own, ofGroups, ofAll].find((found) => found.length > 0) ?? []
  return level.every((rule) => allows(rule, connecting)) ? ALLOW : DENY
}

function allows(
  { blocked, connections = Infinity, openings }: LimitRule,
  { usage, recentSeconds = [] }: Connecting,
): boolean {
  if (blocked || !((usage?.connections ?? 0) < connections)) return false
  if (!openings) return true
  const opened = recentSeconds.filter((seconds) => seconds * 1000 < openings.periodMs)
  return opened.length < openings.most
}

export function parseConnectionLimits(text: string): ConnectionLimits {
  const problems = new Problems()
  const reading = new Reading()
  const lines = readLines(text, { word: `${WORD}/`, isLoose: true }, problems)
  for (const line of lines) problems.try(() => reading.read(line))
  problems.throwAny()
  return reading.limits()
}

class Reading {
  readonly #statements: (ConfigStatement | ConnectionLimitStatement)[] = []
  #defaultPeriodMs = MINUTE_MS

  read({ tokens }: Line): void {
    const [first, second] = tokens as readonly [Token, Token | undefined]
    if (!second) refuse('too-few-tokens', first.line, 'a line needs more than one word')
    const isNumbered = isDigits(first.text)
    const keyword = isNumbered ? second : first
    const rest = tokens.slice(isNumbered ? 2 : 1)
    const word = keyword.text.toLowerCase()
    if (word === 'acl') this.#readRule(keyword.line, rest)
    else if (isNumbered) refuse('number-not-allowed', keyword.line, 'only ACL lines have numbers')
    else if (word === 'clt') this.#readLimit(keyword.line, rest)
    else if (word === 'config') this.#readConfig(keyword.line, rest)
    else refuse('unknown-line', keyword.line, 'a line begins with CLT, CONFIG or ACL')
    bound('rules', this.#statements.length, keyword.line)
  }

  limits(): ConnectionLimits {
    const limits = this.#statements.filter((statement) => statement.kind === 'connection-limit')
    // A default period of none switches everything off that is about time.
    const withoutTime = this.#defaultPeriodMs <= 0
    const rules = limits.map((statement) => toRule(statement, this.#defaultPeriodMs))
    return {
      dialect: 'broker-j-limits',
      statements: this.#statements,
      rules: (withoutTime ? rules.map(({ openings, ...rule }) => rule) : rules).filter(limitsAnything),
    }
  }

  #readLimit(line: number, [identity, ...tokens]: readonly Token[]): void {
    if (!identity) refuse('too-few-tokens', line, 'a limit is written CLT identity connection_limit=n')
    const isBlock = (token: Token, at: number) => token.text.toLowerCase() === 'block' && isKeyAt(tokens, at)
    const properties = tokens.filter((token, at) => !isBlock(token, at))
    this.#add({
      line,
      identity: identity.text,
      blocked: properties.length < tokens.length,
      tokens: properties,
      isStrict: true,
    })
  }

  /** An ACL line may carry limits; all else that it says is for somebody else. */
  #readRule(line: number, [, identity, , object, ...tokens]: readonly Token[]): void {
    if (identity && object) this.#add({ line, identity: identity.text, blocked: false, tokens, isStrict: false })
  }

  #add({ line, identity, blocked, tokens, isStrict }: Limiting): void {
    const properties: PropertyStatement[] = []
    for (const { name: written, values } of readProperties(tokens)) {
      const name = NAMES.get(written.trim().toLowerCase())
      if (!name && isStrict)
        refuse('unknown-property', line, 'a limit has port, connection_limit, connection_frequency_limit')
      if (!name) continue
      if (values.length !== 1) refuse('bad-property-value', line, 'a limit has one value')
      if (properties.some((known) => known.name === name)) refuse('duplicate-property', line, 'a limit is given twice')
      properties.push({ name, values })
    }
    const statement = { kind: 'connection-limit' as const, line, identity, blocked, properties }
    toRule(statement, MINUTE_MS)
    this.#statements.push(statement)
  }

  #readConfig(line: number, tokens: readonly Token[]): void {
    const settings: PropertyStatement[] = []
    for (const { name, values } of readProperties(tokens)) {
      settings.push({ name, values })
      const key = name.replaceAll('-', '_').toLowerCase()
      if (key !== 'default_frequency_period' && key !== 'defaultfrequencyperiod') continue
      this.#defaultPeriodMs = wholeOf(values[0] as string, line)
    }
    this.#statements.push({ kind: 'config', line, settings })
  }
}

interface Limiting {
  readonly line: number
  readonly identity: string
  readonly blocked: boolean
  readonly tokens: readonly Token[]
  readonly isStrict: boolean
}

const NAMES: ReadonlyMap<string, string> = new Map(
  ['port', 'connection_limit', 'connection_frequency_limit'].flatMap((name) =>
    [name, name.replaceAll('_', ''), name.replaceAll('_', '-')].map((spelled) => [spelled, name] as const),
  ),
)

/** BLOCK stands where a property would begin. */
function isKeyAt(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1]
  return before === undefined || before.quoted || before.text !== '='
}

function toRule({ line, identity, blocked, properties }: ConnectionLimitStatement, defaultPeriodMs: number): LimitRule {
  const value = (name: string) => properties.find((property) => property.name === name)?.values[0]
  const port = value('port')?.trim()
  const connections = value('connection_limit')
  const openings = value('connection_frequency_limit')
  return {
    line,
    identity: identity.toLowerCase() === 'all' ? undefined : identity,
    port: port === undefined || port.toLowerCase() === 'all' ? undefined : port,
    blocked,
    ...(connections === undefined ? {} : { connections: countOf(connections, line) }),
    ...(openings === undefined ? {} : { openings: openingsOf(openings, defaultPeriodMs, line) }),
  }
}

function limitsAnything({ blocked, connections, openings }: LimitRule): boolean {
  return blocked || connections !== undefined || openings !== undefined
}

function openingsOf(text: string, defaultPeriodMs: number, line: number): { most: number; periodMs: number } {
  const slash = text.indexOf('/')
  if (slash < 0) return { most: countOf(text, line), periodMs: defaultPeriodMs }
  const periodMs = parseDuration(text.slice(slash + 1))
  if (periodMs === undefined) refuse('bad-property-value', line, 'a period is written as in 2s, 15m, h or P1DT1M')
  return { most: countOf(text.slice(0, slash), line), periodMs }
}

/** A negative number is no limit. */
function countOf(text: string, line: number): number {
  const count = wholeOf(text, line)
  if (count > 2 ** 31 - 1 || count < -(2 ** 31)) refuse('bad-property-value', line, 'a limit is a whole number')
  return count < 0 ? Infinity : count
}

function wholeOf(text: string, line: number): number {
  const digits = text.startsWith('-') || text.startsWith('+') ? text.slice(1) : text
  if (!isDigits(digits) || digits.length > MOST_DIGITS) refuse('bad-property-value', line, 'a limit is a whole number')
  return Number(text)
}

const MOST_DIGITS = 15
