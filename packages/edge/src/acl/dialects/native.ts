import { isDigits } from '../characters.ts'
import { bound, Problems, refuse } from '../errors.ts'
import { groupKey, membershipsOf } from '../identities.ts'
import { type Line, readLines, type Token } from '../lexer.ts'
import { DEFER, type Policy, type Rule } from '../policy.ts'
import type { GroupStatement, RuleStatement } from '../statements.ts'
import { isGroupName, memberKey } from './native-identity.ts'
import { toRule } from './native-rule.ts'
import { readRule } from './native-statement.ts'

const LEXICON = {
  word: '_-.*@:+/|~{}$',
  isLoose: false,
  // Cut off at the hash, a pattern would say something else than what is written.
  onNote: (kind: string, line: number): void => {
    if (kind === 'unquoted-hash')
      refuse('bad-pattern', line, 'a # begins a comment; quote patterns, as in name="orders/#"')
  },
}

/** Rules in Messkit's own notation: that of ACL v2, over topics, queues and the server. */
export function parseNative(text: string): Policy {
  const problems = new Problems()
  const reading = new Reading()
  for (const line of readLines(text, LEXICON, problems)) problems.try(() => reading.read(line))
  problems.throwAny()
  return reading.policy()
}

class Reading {
  readonly #statements: (RuleStatement | GroupStatement)[] = []
  readonly #rules: Rule[] = []
  readonly #groups = new Map<string, { line: number; members: readonly string[] }>()
  readonly #byMeaning = new Map<string, RuleStatement>()
  #members = 0

  read({ tokens }: Line): void {
    const [first, ...rest] = tokens as readonly [Token, ...Token[]]
    const word = first.text.toLowerCase()
    if (word === 'acl') this.#readRule(first.line, false, rest)
    else if (word === 'must') this.#readMust(first.line, rest)
    else if (word === 'group') this.#readGroup(first.line, rest)
    else if (isDigits(word))
      refuse('number-not-allowed', first.line, 'rules are tried as they stand; they have no numbers')
    else refuse('unknown-line', first.line, 'a line begins with acl, must acl, or group')
  }

  policy(): Policy {
    const groups = [...this.#groups].map(([name, group]) => [groupKey(name), group] as const)
    return {
      dialect: 'native',
      statements: this.#statements,
      rules: this.#rules,
      memberships: membershipsOf(new Map(groups), (line) => refuse('cyclic-groups', line, 'groups contain each other')),
      groups: new Set(this.#groups.keys()),
      otherwise: { unmentioned: DEFER, unmatched: DEFER, final: 'deny' },
      notes: [],
    }
  }

  #readMust(line: number, [acl, ...rest]: readonly Token[]): void {
    if (acl?.text.toLowerCase() !== 'acl') refuse('unknown-line', line, 'must stands in front of acl')
    this.#readRule(line, true, rest)
  }

  #readRule(line: number, must: boolean, tokens: readonly Token[]): void {
    const statement = readRule(line, must, tokens)
    const rule = toRule(statement, this.#rules.length)
    this.#checkRepeat(statement)
    this.#statements.push(statement)
    this.#rules.push(rule)
    bound('rules', this.#rules.length, line)
  }

  /** Two rules that ask for the same and permit another thing: one of them is a mistake, and nobody can tell which. */
  #checkRepeat(statement: RuleStatement): void {
    const meaning = meaningOf(statement)
    const known = this.#byMeaning.get(meaning)
    if (known && known.permission !== statement.permission)
      refuse(
        'duplicate-rule',
        statement.line,
        `the same is ruled in line ${known.line} with another permission; remove one of them`,
      )
    if (!known) this.#byMeaning.set(meaning, statement)
  }

  #readGroup(line: number, [name, ...members]: readonly Token[]): void {
    if (!name) refuse('too-few-tokens', line, 'a group has a name: group staff user:ana')
    if (!isGroupName(name.text))
      refuse('bad-group-name', line, 'a group is named with 1 to 64 letters, digits, . - and _')
    if (this.#groups.has(name.text)) refuse('duplicate-group', line, 'a group of this name is defined already')
    const keys = members.map((member) => memberKey(member))
    this.#groups.set(name.text, { line, members: keys })
    this.#members += keys.length
    bound('groups', this.#groups.size, line)
    bound('members', this.#members, line)
    this.#statements.push({ kind: 'group', line, name: name.text, members: keys })
  }
}

function meaningOf({ must, identity, actions, object, properties }: RuleStatement): string {
  const asked = properties.filter(({ name }) => !name.startsWith('limit-') && name !== 'from')
  const sorted = asked
    .map(({ name, values }) => [name, values.toSorted()] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([must, identity, actions.toSorted(), object ?? 'all', sorted])
}
