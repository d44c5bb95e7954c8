import * as v from 'valibot'
import { ACL_BOUNDS } from '../acl/bounds.ts'
import { PolicyError, type Problem } from '../acl/errors.ts'
import { formatStatement } from '../acl/format.ts'
import { type GrantRow, Grants } from '../acl/grants.ts'
import { parse } from '../acl/parse.ts'
import type { Policy, Rule } from '../acl/policy.ts'
import { testPolicy } from '../acl/policy-tests.ts'
import type { RuleStatement } from '../acl/statements.ts'
import { ACTION_BITS, type Action, GRANT_SCHEMA, isAction } from '../acl/vocabulary.ts'
import { ROLES, type Role } from './roles.ts'

const Group = v.pipe(v.string(), v.minLength(1), v.maxLength(64))

const Rights = v.strictObject({
  group: Group,
  on: v.picklist(['topic', 'queue', 'server']),
  /** Left out: all of the kind. */
  name: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(ACL_BOUNDS.valueChars))),
  can: v.pipe(
    v.array(
      v.pipe(
        v.string(),
        v.check(isAction),
        v.transform((word) => word as Action),
      ),
    ),
    v.minLength(1),
    v.maxLength(32),
  ),
  /** How far back history may be read: from where the topic learned of the grant (the default), or all of it. */
  from: v.optional(v.picklist(['grant', 'all'])),
})

/** What a group may do, right by right; or a role, which is rights on the server by their common name. */
export const Grant = v.union([
  Rights,
  v.strictObject({ group: Group, role: v.picklist(Object.keys(ROLES) as readonly Role[]) }),
])
export type Grant = v.InferOutput<typeof Grant>

/** What an administrator writes: rules, which are tried first, grants, which add up, and tests that must hold before it counts. */
export const PolicyDocument = v.strictObject({
  rules: v.optional(v.pipe(v.string(), v.maxLength(ACL_BOUNDS.policyChars)), ''),
  grants: v.optional(v.pipe(v.array(Grant), v.maxLength(ACL_BOUNDS.grantRows)), []),
  tests: v.optional(v.pipe(v.array(v.unknown()), v.maxLength(ACL_BOUNDS.testsPerPolicy)), []),
})
export type PolicyDocument = v.InferOutput<typeof PolicyDocument>

export const NOTHING: PolicyDocument = { rules: '', grants: [], tests: [] }

/** A document that was understood as a whole, with what each part is known by over versions. */
export interface ReadPolicy {
  readonly policy: Policy
  readonly grants: readonly GrantRow[]
}

/** @throws {PolicyError} naming the lines that are wrong, or the tests that failed */
export function readPolicy({ rules, grants, tests }: PolicyDocument): ReadPolicy {
  const policy = rulesOf(rules)
  const [unkept, ...more] = policy.rules.flatMap((rule) => unkeptBy(rule))
  if (unkept) throw new PolicyError(unkept, ...more)
  const failures = testPolicy(policy, tests)
  if (failures.length > 0)
    throw new PolicyError(
      ...(failures.map(({ id, message }) => ({
        kind: 'bad-test',
        line: 0,
        message: `test ${id}: ${message}`,
      })) as unknown as [ConstructorParameters<typeof PolicyError>[0]]),
    )
  return { policy, grants: grants.map(rowOf) }
}

/** What the notation can say and this server does not do yet is refused: a rule that is not kept would be worse than none. */
function unkeptBy({ line, who }: Rule): Problem[] {
  const refuse = (message: string): Problem => ({ kind: 'impossible-property', line, message })
  return [...(who.kind === 'owner' ? [refuse('topics have no owners in this version')] : [])]
}

function rowOf(grant: Grant): GrantRow {
  if ('role' in grant)
    return { type: 'server', name: undefined, group: grant.group, mask: maskOf(ROLES[grant.role]), from: 'grant' }
  const { group, on, name, can, from = 'grant' } = grant
  return { type: on, name, group, mask: maskOf(can), from }
}

const maskOf = (actions: readonly Action[]): number => actions.reduce((mask, action) => mask | ACTION_BITS[action], 0)

/** Rules that take long to read are read once by an isolate: a change has them read by who checks it, who keeps it and who goes by it. */
const LARGE_CHARS = 16_384
const KEPT = 4
const LARGE = new Map<string, Policy>()

function rulesOf(text: string): Policy {
  if (text.length < LARGE_CHARS) return parse(text, { dialect: 'native' })
  const policy = LARGE.get(text) ?? parse(text, { dialect: 'native' })
  LARGE.delete(text)
  LARGE.set(text, policy)
  const [oldest] = LARGE.keys()
  if (LARGE.size > KEPT) LARGE.delete(oldest as string)
  return policy
}

const KEYS = new WeakMap<Policy, readonly string[]>()

function keysOfRules(policy: Policy): readonly string[] {
  const keys =
    KEYS.get(policy) ??
    policy.statements.flatMap((statement) =>
      statement.kind === 'rule' ? [formatStatement(withoutLimits(statement), 'native')] : [],
    )
  KEYS.set(policy, keys)
  return keys
}

/** By what a rule or grant is recognised in the next version: a grant that was taken away and given back is a new one. */
export function keysOf({ policy, grants }: ReadPolicy): {
  readonly rules: readonly string[]
  readonly grants: readonly string[]
} {
  return {
    rules: keysOfRules(policy),
    grants: grants.map(keyOfRow),
  }
}

const keyOfRow = ({ type, name, group, mask, from }: GrantRow): string =>
  JSON.stringify([type, name, group, mask, from])

/** The same for grants that say the same, however they are written. */
export const grantKey = (grant: Grant): string => keyOfRow(rowOf(grant))

/** Another limit makes no new rule: what its users could read back, they still can. */
function withoutLimits(statement: RuleStatement): RuleStatement {
  return { ...statement, properties: statement.properties.filter(({ name }) => !name.startsWith('limit-')) }
}

/** @param sinceOf by place: from which offset on the grant lets somebody read back */
export function grantsOf(rows: readonly GrantRow[], sinceOf: (place: number) => number): Grants {
  return new Grants(
    GRANT_SCHEMA,
    rows.map((row, place) => ({ ...row, since: sinceOf(place) })),
  )
}

/** Every group that the policy speaks of: no other one a visitor is in changes anything. */
export function mentionedGroups({ policy, grants }: ReadPolicy): Set<string> {
  const names = new Set(grants.map(({ group }) => group))
  for (const name of policy.groups) names.add(name)
  const keys = [
    ...policy.memberships.keys(),
    ...policy.rules.flatMap(({ who }) => (who.kind === 'any' ? who.keys : [])),
  ]
  for (const key of keys) if (key.startsWith(GROUP)) names.add(key.slice(GROUP.length))
  return names
}

const GROUP = 'group:'
