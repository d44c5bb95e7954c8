import { RIGHTS } from '@messkit/sdk/broker'
import { keysOf, type ReadPolicy } from '../access/document.ts'
import type { ResourceKind } from '../access/resource.ts'
import type { Capability } from '../acl/authority.ts'
import { formatStatement } from '../acl/format.ts'
import type { GrantRow } from '../acl/grants.ts'
import { ANY, type LevelPattern, ONE, patternWithin } from '../acl/levels.ts'
import { EVERY, type Rule } from '../acl/policy.ts'
import { ACTIONS_ON, type Action, OBJECT_KINDS, type ObjectKind, SEPARATOR } from '../acl/vocabulary.ts'

/** What somebody may give to others: what they have themselves, at one topic or queue; or, with a narrowed token, what that is good for. */
export type Held =
  | typeof EVERYTHING
  | { readonly kind: ResourceKind | undefined; readonly mask: number; readonly wholeHistory: boolean }
  | { readonly capabilities: readonly Capability[] }

export const EVERYTHING = 'everything'

/** Rights that a change lets somebody have. */
interface Given {
  readonly object: ObjectKind
  readonly names: readonly LevelPattern[]
  readonly mask: number
  readonly wholeHistory: boolean
}

/** Whether a change gives only what is held. Taking away is free; taking a `deny` away is giving. */
export function givesOnlyHeld(before: ReadPolicy, after: ReadPolicy, held: Held): boolean {
  if (held === EVERYTHING) return true
  const given = givenBy(before, after)
  if ('capabilities' in held) return given.every((one) => isCovered(one, held.capabilities))
  // The own rules of a topic about anything else decide nothing, and those of a queue neither.
  return given
    .filter(({ object }) => held.kind === undefined || object === held.kind)
    .every(({ mask, wholeHistory }) => (mask & ~held.mask) === 0 && (held.wholeHistory || !wholeHistory))
}

function givenBy(before: ReadPolicy, after: ReadPolicy): Given[] {
  const [old, now] = [asWritten(before), asWritten(after)]
  const [oldRules, newRules] = [new Set(old.rules), new Set(now.rules)]
  // Rules that were moved, or a group with other members: then nothing is as it was.
  const same =
    groupsOf(before) === groupsOf(after) &&
    old.rules.filter((key) => newRules.has(key)).join('\n') === now.rules.filter((key) => oldRules.has(key)).join('\n')
  const added = after.policy.rules.filter((_, at) => !same || !oldRules.has(now.rules[at] ?? ''))
  const removed = before.policy.rules.filter((_, at) => !same || !newRules.has(old.rules[at] ?? ''))
  const oldGrants = new Set(old.grants)
  const grants = after.grants.filter((_, at) => !same || !oldGrants.has(now.grants[at] ?? ''))
  return [
    ...added.filter(({ effect }) => effect === 'allow').flatMap(givenByRule),
    // What stood in the way of others' rules. A limit does, too.
    ...removed.filter(({ effect, limits }) => effect === 'deny' || limits.length > 0).flatMap(givenByRule),
    ...grants.map(givenByGrant),
  ]
}

/** With its limits: to give the same with another limit is to give something else. */
function asWritten(read: ReadPolicy): { readonly rules: readonly string[]; readonly grants: readonly string[] } {
  const { statements } = read.policy
  return {
    rules: statements.flatMap((one) => (one.kind === 'rule' ? [formatStatement(one, 'native')] : [])),
    grants: keysOf(read).grants,
  }
}

const groupsOf = ({ policy }: ReadPolicy): string =>
  policy.statements
    .filter(({ kind }) => kind === 'group')
    .map((statement) => formatStatement(statement, 'native'))
    .toSorted()
    .join('\n')

function givenByRule({ objects, actions, where, from }: Rule): Given[] {
  const kinds = objects === EVERY ? OBJECT_KINDS : (objects as readonly ObjectKind[])
  return kinds.map((object) => {
    const mask = maskOf(object, actions)
    return { object, names: namesOf(where), mask, wholeHistory: (mask & RIGHTS.history) !== 0 && from === 'all' }
  })
}

function givenByGrant({ type, name, mask, from }: GrantRow): Given {
  const names = name === undefined ? EVERYWHERE : [[...name.split(SEPARATOR), ANY]]
  const wholeHistory = (mask & RIGHTS.history) !== 0 && from === 'all'
  return { object: type as ObjectKind, names, mask, wholeHistory }
}

function maskOf(object: ObjectKind, actions: Rule['actions']): number {
  return ACTIONS_ON[object]
    .filter((action) => actions === EVERY || actions.includes(action))
    .reduce((mask, action: Action) => mask | RIGHTS[action], 0)
}

/** No narrower than what is written: what is not levels counts as everything. */
function namesOf(where: Rule['where']): readonly LevelPattern[] {
  const levels = where.find((condition) => condition.kind === 'levels')
  if (levels?.kind !== 'levels') return EVERYWHERE
  return levels.anyOf.map(({ pattern, placeholders }) =>
    placeholders === 'none' ? pattern : pattern.map((level) => (level.startsWith('$') ? ONE : level)),
  )
}

const EVERYWHERE: readonly LevelPattern[] = [[ANY]]

function isCovered({ object, names, mask }: Given, capabilities: readonly Capability[]): boolean {
  return Object.values(RIGHTS)
    .filter((bit) => (mask & bit) !== 0)
    .every((bit) => {
      const able = capabilities.filter((one) => one.object === object && (one.mask & bit) !== 0)
      return object === 'server'
        ? able.length > 0
        : names.every((name) => able.some((one) => patternWithin(name, one.name)))
    })
}
