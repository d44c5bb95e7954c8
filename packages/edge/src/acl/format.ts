import { ACL_BOUNDS } from './bounds.ts'
import { consistsOf } from './characters.ts'
import type { ConnectionLimits } from './dialects/broker-j-limits.ts'
import { refuse } from './errors.ts'
import { groupKey, userKey } from './identities.ts'
import type { Dialect } from './parse.ts'
import type { Limit, Policy } from './policy.ts'
import type { GroupStatement, PropertyStatement, RuleStatement, Statement } from './statements.ts'

/** A policy as text, in one canonical way: reading it again gives the same rules. Comments are not kept. */
export function format({ dialect, statements }: Policy | ConnectionLimits): string {
  return statements.map((statement) => `${formatStatement(statement, dialect)}\n`).join('')
}

/** A limit as a native rule has it; `undefined` for one that only other dialects know. */
export function formatLimit(limit: Limit): string | undefined {
  switch (limit.kind) {
    case 'rate':
      return `limit-rate=${limit.count}/${PERIODS.get(limit.periodMs)}`
    case 'usage':
      return `limit-${limit.name}=${limit.most}`
    case 'property':
      return undefined
  }
}

const PERIODS: ReadonlyMap<number, string> = new Map([
  [1_000, 's'],
  [60_000, 'm'],
  [3_600_000, 'h'],
])

export function formatStatement(statement: Statement, dialect: Dialect): string {
  switch (statement.kind) {
    case 'rule':
      return RULES[dialect as keyof typeof RULES](statement)
    case 'group':
      return dialect === 'cpp'
        ? cppGroup(statement)
        : ['group', ...[statement.name, ...statement.members].map(plain)].join(' ')
    case 'config':
      return ['CONFIG', ...statement.settings.map(loose)].join(' ')
    case 'quota':
      return ['quota', statement.of, String(statement.most), ...statement.identities].join(' ')
    case 'connection-limit':
      return [
        'CLT',
        escaped(statement.identity),
        ...(statement.blocked ? ['BLOCK'] : []),
        ...statement.properties.map(loose),
      ].join(' ')
  }
}

const RULES = {
  native: ({ must, permission, identity, actions, object, properties }: RuleStatement): string =>
    [
      ...(must ? ['must'] : []),
      'acl',
      permission,
      plain(identity),
      actions.join(', '),
      ...(object === undefined ? [] : [object]),
      ...properties.map((property) => list(property, plain)),
    ].join(' '),

  'broker-j': ({ number, permission, identity, actions, object, properties }: RuleStatement): string =>
    [
      ...(number === undefined ? [] : [String(number)]),
      'ACL',
      permission.toUpperCase(),
      escaped(identity),
      ...actions.map((action) => action.toUpperCase()),
      ...(object === undefined ? [] : [object.toUpperCase()]),
      ...properties.map(loose),
    ].join(' '),

  cpp: ({ permission, identity, actions, object, properties }: RuleStatement): string =>
    [
      'acl',
      permission,
      identity,
      ...actions,
      ...(object === undefined ? [] : [object]),
      // The old names are shorter, and a line has to be read again.
      ...properties.map(({ name, values }) => `${SHORT.get(name) ?? name}=${values[0]}`),
    ].join(' '),
}

const SHORT: ReadonlyMap<string, string> = new Map([
  ['queuemaxsizeupperlimit', 'maxqueuesize'],
  ['queuemaxcountupperlimit', 'maxqueuecount'],
])

/** Long groups go on on the next line. One without members names itself, which the dialect ignores. */
function cppGroup({ name, members }: GroupStatement): string {
  const names = members.map((key) => key.slice((key.startsWith(groupKey('')) ? groupKey('') : userKey('')).length))
  const lines = [`group ${name}`]
  for (const member of names.length === 0 ? [name] : names) {
    const line = `${lines.at(-1)} ${member}`
    if (line.length < ACL_BOUNDS.cppLineChars - 2) lines[lines.length - 1] = line
    else lines.push(member)
  }
  return lines.join(' \\\n')
}

const loose = (property: PropertyStatement): string => list(property, escaped)

function list({ name, values }: PropertyStatement, quote: (text: string) => string): string {
  const quoted = values.map(quote)
  return `${name}=${quoted.length === 1 ? quoted[0] : `[${quoted.join(', ')}]`}`
}

/** Quoted where it is more than a word. Without escapes, so a text has one kind of quotes in it at most. */
function plain(text: string): string {
  if (consistsOf(text, '_-.*@:/')) return text
  if (!text.includes('"')) return `"${text}"`
  return text.includes("'")
    ? refuse('bad-character', 0, 'a text with both kinds of quotes cannot be written')
    : `'${text}'`
}

/** Quoted always: in `broker-j` words end at more characters, and quotes never harm. */
function escaped(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
