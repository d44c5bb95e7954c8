import type { Caller } from './ask.ts'
import { bound } from './errors.ts'
import type { Policy, RuleDialect } from './policy.ts'

/**
 * Users and groups have name spaces of their own, so that a user who is called like a group is not in it. Only the `broker-j` dialect
 * mixes them, because its rules do.
 */
export function userKey(name: string, issuer?: string): string {
  return issuer === undefined ? `user:${name}` : `user@${issuer}\n${name}`
}

export function groupKey(name: string): string {
  return `group:${name}`
}

/** Of a `broker-j` rule: a user or a group. */
export function anyKey(name: string): string {
  return `any:${name}`
}

/** Everything that the caller is by this policy: the user, and all groups. */
export function identitiesOf(policy: Policy, caller: Caller): ReadonlySet<string> {
  bound('groupsPerCaller', caller.groups.length)
  const own = new Set(OWN[policy.dialect](caller))
  for (const key of [...own]) for (const group of policy.memberships.get(key) ?? []) own.add(group)
  return own
}

const OWN: Readonly<Record<RuleDialect, (caller: Caller) => readonly string[]>> = {
  native: ({ user, issuer, groups }) => [
    ...(user === undefined ? [] : [userKey(user, issuer)]),
    ...groups.map(groupKey),
  ],
  'broker-j': ({ user, groups }) => [...(user === undefined ? [] : [user]), ...groups].map(anyKey),
  // Its groups are in the policy; what the request says is ignored.
  cpp: ({ user }) => (user === undefined ? [] : [userKey(user)]),
}

/**
 * Closes groups over groups. Members are keys.
 * @throws {PolicyError} for cycles, and for nesting beyond the bounds
 */
export function membershipsOf(
  groups: ReadonlyMap<string, { readonly line: number; readonly members: readonly string[] }>,
  refuseCycle: (line: number) => never,
): Map<string, readonly string[]> {
  const parents = new Map<string, string[]>()
  for (const [group, { members }] of groups) {
    for (const member of members) {
      const above = parents.get(member)
      if (above) above.push(group)
      else parents.set(member, [group])
    }
  }
  const above = new Map<string, readonly string[]>()
  let total = 0
  for (const member of new Set([...groups.keys(), ...parents.keys()])) {
    const found = ancestors(member, parents, (depth) => bound('groupDepth', depth, groups.get(member)?.line))
    const own = groups.get(member)
    if (own && found.includes(member)) refuseCycle(own.line)
    total += found.length
    bound('memberships', total)
    if (found.length > 0) above.set(member, found)
  }
  return above
}

function ancestors(member: string, parents: ReadonlyMap<string, string[]>, check: (depth: number) => void): string[] {
  const found = new Set<string>()
  let edge = parents.get(member) ?? []
  for (let depth = 1; edge.length > 0; depth++) {
    const fresh = edge.filter((group) => !found.has(group))
    if (fresh.length > 0) check(depth)
    for (const group of fresh) found.add(group)
    edge = [...new Set(fresh.flatMap((group) => parents.get(group) ?? []))]
  }
  return [...found]
}
