import { ACL_BOUNDS } from './bounds.ts'
import { formatStatement } from './format.ts'
import { groupKey } from './identities.ts'
import { EVERY, type Note, type Policy, type Rule } from './policy.ts'
import { conditionsWithin } from './within.ts'

/** Something that is allowed to be written, and hardly meant. */
export interface Finding {
  readonly kind: Note['kind'] | 'dead-rule' | 'shadowed-deny' | 'lint-incomplete'
  readonly line: number
  /** Quotes the rule that is in the way: for whoever may read the policy. */
  readonly message: string
  /** The line that makes it so. */
  readonly because?: number
}

/**
 * @param options.groups names of groups that exist besides those of the policy; without it, only what the policy itself shows is told
 */
export function lint(policy: Policy, { groups }: { readonly groups?: Iterable<string> } = {}): Finding[] {
  const findings: Finding[] = [...policy.notes, ...unknownGroups(policy, groups), ...shadowed(policy)]
  return findings.toSorted((a, b) => a.line - b.line).slice(0, ACL_BOUNDS.lintFindings)
}

/** A misspelt group makes its rules say nothing: harmless where they allow, a hole where they deny. */
function unknownGroups(policy: Policy, others: Iterable<string> = []): Finding[] {
  if (policy.dialect !== 'native') return []
  const known = new Set([...policy.groups, ...others].map(groupKey))
  const named = [
    ...policy.rules.flatMap(({ who, line }) => (who.kind === 'any' ? who.keys.map((key) => ({ key, line })) : [])),
    ...policy.statements.flatMap((statement) =>
      statement.kind === 'group' ? statement.members.map((key) => ({ key, line: statement.line })) : [],
    ),
  ]
  return named
    .filter(({ key }) => key.startsWith(groupKey('')) && !known.has(key))
    .map(({ line }) => ({ kind: 'unknown-group', line, message: 'there is no group of this name, so nobody is in it' }))
}

/** Rules that never decide, because an earlier one always does. Compared are only rules about the same people. */
function shadowed(policy: Policy): Finding[] {
  const seen = new Map<string, Rule[]>()
  const findings: Finding[] = []
  const written = new Map(policy.statements.map((statement) => [statement.line, statement]))
  let comparisons = 0
  for (const rule of inTrial(policy)) {
    const keys = whoKeys(rule)
    const candidates = widerKeys(policy, keys).flatMap((key) => seen.get(key) ?? [])
    comparisons += candidates.length
    if (comparisons > ACL_BOUNDS.lintComparisons) return [...findings, incomplete(rule.line)]
    const earlier = candidates.find((other) => hides(policy, other, rule))
    const statement = earlier && written.get(earlier.line)
    if (earlier && statement && earlier.line !== rule.line)
      findings.push(findingOf(rule, earlier, formatStatement(statement, policy.dialect)))
    // What is hidden hides nothing that the other one does not.
    else for (const key of keys) remember(seen, key, rule)
  }
  return onePerLine(findings, policy)
}

function remember(seen: Map<string, Rule[]>, key: string, rule: Rule): void {
  const known = seen.get(key)
  if (known) known.push(rule)
  else seen.set(key, [rule])
}

/** `must` rules are tried before the others. */
function inTrial({ rules }: Policy): Rule[] {
  return rules.toSorted((a, b) => Number(b.must) - Number(a.must) || a.order - b.order)
}

function incomplete(line: number): Finding {
  return {
    kind: 'lint-incomplete',
    line,
    message: 'too many rules to compare each with each; those from here on were not',
  }
}

function findingOf(rule: Rule, earlier: Rule, text: string): Finding {
  const isHole = rule.effect === 'deny' && earlier.effect === 'allow'
  return {
    kind: isHole ? 'shadowed-deny' : 'dead-rule',
    line: rule.line,
    because: earlier.line,
    message: isHole
      ? `this never denies: line ${earlier.line} allows it before, ${text}`
      : `this never decides: line ${earlier.line} does before, ${text}`,
  }
}

/** A line of the `cpp` dialect can be several rules; it is dead when all of them are. */
function onePerLine(findings: readonly Finding[], { rules }: Policy): Finding[] {
  const count = (lines: readonly { line: number }[]) => Map.groupBy(lines, ({ line }) => line)
  const all = count(rules)
  return [...count(findings)].flatMap(([line, found]) =>
    found.length === all.get(line)?.length ? [found[0] as Finding] : [],
  )
}

const ALL = 'all'

function whoKeys({ who }: Rule): readonly string[] {
  return who.kind === 'any' ? who.keys : [who.kind]
}

/** Whoever is one of these is also one of those. */
function widerKeys({ memberships }: Policy, keys: readonly string[]): string[] {
  return [...new Set([ALL, ...keys, ...keys.flatMap((key) => memberships.get(key) ?? [])])]
}

function hides(policy: Policy, earlier: Rule, later: Rule): boolean {
  return (
    wordsWithin(later.actions, earlier.actions) &&
    wordsWithin(later.objects, earlier.objects) &&
    isEachAmong(policy, later, earlier) &&
    conditionsWithin(later, earlier)
  )
}

function isEachAmong({ memberships }: Policy, later: Rule, earlier: Rule): boolean {
  const wide = new Set(whoKeys(earlier))
  if (wide.has(ALL)) return true
  return whoKeys(later).every((key) => wide.has(key) || memberships.get(key)?.some((group) => wide.has(group)))
}

function wordsWithin(inner: Rule['actions'], outer: Rule['actions']): boolean {
  return outer === EVERY || (inner !== EVERY && inner.every((word) => outer.includes(word)))
}
