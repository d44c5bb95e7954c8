import { Ask, type Caller, canonical, type Usage, type Value } from './ask.ts'
import type { Connecting } from './dialects/broker-j-limits.ts'
import { refuse } from './errors.ts'
import { isList, isRecord, isStrings, type Json, memberOf } from './json.ts'
import { NOWHERE, parseAddress } from './network.ts'

/** A request as test vectors write it; see docs/reference or the vectors' own page for its members. */
export interface Request {
  readonly caller: Caller
  readonly ask: Ask
  readonly connecting: Connecting
}

/** @throws {PolicyError} of kind `bad-test` where it is none */
export function readRequest(json: unknown): Request {
  if (!isRecord(json)) refuse('bad-test', 0, 'a request is an object')
  const properties = readProperties(memberOf(json, 'properties') ?? {})
  const name = properties.get('name')
  const usage = readUsage(memberOf(json, 'usage') ?? {})
  const text = (member: string): string => {
    const value = memberOf(json, member)
    return typeof value === 'string' ? value.toLowerCase() : refuse('bad-test', 0, `a request has a text ${member}`)
  }
  return {
    caller: readCaller(json, properties),
    ask: new Ask(text('action'), text('object'), {
      ...(name === undefined ? {} : { name: String(name) }),
      properties: new Map([...properties].filter(([key]) => key !== 'name')),
      usage: usage.usage,
    }),
    connecting: { ...usage, ...optionalText(json, 'port') },
  }
}

function readCaller(json: Json, properties: ReadonlyMap<string, Value>): Caller {
  const user = memberOf(json, 'user') ?? undefined
  const groups = memberOf(json, 'groups') ?? []
  const hostname = memberOf(json, 'hostname')
  if (user !== undefined && typeof user !== 'string') refuse('bad-test', 0, 'a user is a text or null')
  if (!isStrings(groups)) refuse('bad-test', 0, 'groups are a list of texts')
  if (hostname !== undefined && hostname !== null && typeof hostname !== 'string')
    refuse('bad-test', 0, 'a host name is a text')
  // A connection's address is also found among its properties.
  const ip = memberOf(json, 'ip') ?? properties.get('host') ?? undefined
  return {
    user,
    groups,
    authenticated: memberOf(json, 'authenticated') !== false,
    ...optionalText(json, 'issuer'),
    ...(ip === undefined ? {} : { address: parseAddress(String(ip)) ?? NOWHERE }),
    ...(hostname === undefined ? {} : { hostname }),
  }
}

function readProperties(json: unknown): Map<string, Value> {
  if (!isRecord(json)) refuse('bad-test', 0, 'properties are an object')
  const properties = new Map<string, Value>()
  for (const [name, value] of Object.entries(json)) {
    if (value === null) continue
    if (!isValue(value)) refuse('bad-test', 0, 'a property is a text, a number, true, false or a list of texts')
    properties.set(canonical(name), value)
  }
  return properties
}

function isValue(value: unknown): value is Value {
  return ['string', 'number', 'boolean'].includes(typeof value) || isStrings(value)
}

const COUNTS = ['connections', 'connectionsPerAddress', 'subscriptions', 'queues', 'bytes', 'depth'] as const

function readUsage(json: unknown): { usage: Usage; recentSeconds: readonly number[] } {
  if (!isRecord(json)) refuse('bad-test', 0, 'usage is an object')
  const usage: { -readonly [K in keyof Usage]: Usage[K] } = {}
  for (const name of COUNTS) {
    const count = memberOf(json, name)
    if (count !== undefined && typeof count !== 'number') refuse('bad-test', 0, 'usage is counted in numbers')
    if (count !== undefined) usage[name] = count
  }
  const recent = memberOf(json, 'recent') ?? []
  if (!isList(recent) || !recent.every((age) => typeof age === 'number'))
    refuse('bad-test', 0, 'recent is a list of seconds')
  return { usage, recentSeconds: recent as number[] }
}

function optionalText<K extends string>(json: Json, member: K): { readonly [Key in K]?: string } {
  const value = memberOf(json, member)
  if (value === undefined || value === null) return {}
  if (typeof value !== 'string') refuse('bad-test', 0, `${member} is a text`)
  return { [member]: value } as { readonly [Key in K]: string }
}
