import { bound, Problems, refuse } from '../errors.ts'
import { groupKey, membershipsOf, userKey } from '../identities.ts'
import { ALLOW, type Condition, DENY, type Note, type Outcome, type Policy, type Rule, type Who } from '../policy.ts'
import { EVERYBODY } from '../quotas.ts'
import type { GroupStatement, RuleStatement } from '../statements.ts'
import { conditionsOf, limitsOf, rangesOf, withBlank } from './cpp-conditions.ts'
import { CppLines } from './cpp-lines.ts'
import { type Lookup, lookupsFor } from './cpp-lookups.ts'
import { LIMITS } from './cpp-words.ts'

/** Rules in the notation of the Apache Qpid C++ broker. */
export function parseCpp(text: string): Policy {
  bound('policyChars', text.length)
  const problems = new Problems()
  const reading = new CppLines()
  for (const [index, line] of text.split('\n').entries()) problems.try(() => reading.read(line, index + 1))
  const rules = new Rules(reading)
  rules.place(problems)
  problems.throwAny()
  return rules.policy()
}

/** From what was read to what is tried: connections first come first of all, and the last `all all` is the default. */
class Rules {
  readonly #reading: CppLines
  readonly #memberships: ReadonlyMap<string, readonly string[]>
  readonly #notes: Note[] = []
  readonly #general: Omit<Rule, 'order'>[] = []
  readonly #connections: { rule: Omit<Rule, 'order'>; isForAll: boolean }[] = []
  #connectionDefault: { outcome: Outcome; line: number } | undefined
  readonly #default: RuleStatement | undefined

  constructor(reading: CppLines) {
    this.#reading = reading
    const groups = [...reading.groups].map(([name, group]) => [groupKey(name), group] as const)
    this.#memberships = membershipsOf(new Map(groups), (line) =>
      refuse('cyclic-groups', line, 'groups contain each other'),
    )
    this.#default = reading.rules.findLast(({ identity, actions }) => isEverybody(identity) && actions[0] === EVERYBODY)
  }

  place(problems: Problems): void {
    for (const statement of this.#reading.rules) {
      if (statement !== this.#default) problems.try(() => this.#place(statement))
    }
  }

  policy(): Policy {
    const { rules, groups, quotas } = this.#reading
    const ofAll = this.#connections.filter(({ isForAll }) => isForAll)
    const ofSome = this.#connections.filter(({ isForAll }) => !isForAll)
    const ordered = [...ofAll, ...ofSome].map(({ rule }) => rule)
    const fallback = this.#default ? outcomeOf(this.#default) : DENY
    const lines = [...groups].map(([name, group]): GroupStatement => ({ kind: 'group', name, ...group }))
    return {
      dialect: 'cpp',
      statements: [...lines, ...quotas, ...rules].toSorted((a, b) => a.line - b.line),
      rules: [...ordered, ...this.#general].map((rule, order) => ({ ...rule, order })),
      memberships: this.#memberships,
      groups: new Set(groups.keys()),
      otherwise: {
        unmentioned: fallback,
        unmatched: fallback,
        connection: this.#connectionDefault?.outcome ?? ALLOW,
        final: fallback.effect === 'allow' ? 'allow' : 'deny',
      },
      quotas: this.#quotas(),
      notes: this.#notes,
    }
  }

  #place(statement: RuleStatement): void {
    const { line, properties } = statement
    const [action, object] = [wordOf(statement.actions[0]), wordOf(statement.object)]
    const asked = properties.map(({ name }) => LIMITS.get(name)?.property ?? name)
    const lookups = lookupsFor({ action, object }, asked)
    if (lookups.length === 0) {
      this.#note('impossible-pair', line, 'the broker never asks for this with these properties; the rule is left out')
      return
    }
    if (action === 'create' && object === 'connection') this.#placeConnection(statement)
    else this.#placeGeneral(statement, lookups)
  }

  #placeGeneral(statement: RuleStatement, lookups: readonly Lookup[]): void {
    this.#noteUnknownGroup(statement)
    const where = statement.properties.flatMap((property) => conditionsOf(property, statement.line))
    const limits = statement.properties.flatMap((property) => limitsOf(property, statement.line))
    // Connections are asked about in a list of their own.
    const others = lookups.filter(({ object }) => object !== 'connection')
    for (const [actions, objects] of groupLookups(others)) {
      const blanks = where.map((condition) => withBlank(condition, actions))
      this.#general.push({ ...this.#base(statement), actions, objects, where: blanks, limits })
    }
  }

  #placeConnection(statement: RuleStatement): void {
    const { line, properties } = statement
    const host = properties.find(({ name }) => name === 'host')?.values[0]
    if (host === undefined || properties.some(({ name }) => name === 'name'))
      refuse('bad-connection-rule', line, 'a rule about connections has a host and no name')
    const isForAll = isEverybody(statement.identity)
    if (isForAll && host === EVERYBODY) {
      if (this.#connectionDefault)
        refuse('bad-connection-rule', line, 'there is one rule at most for all users from all hosts')
      this.#connectionDefault = { outcome: outcomeOf(statement), line }
      return
    }
    this.#noteUnknownGroup(statement)
    const where: Condition[] = host === EVERYBODY ? [] : [{ kind: 'range', anyOf: rangesOf(host, line) }]
    const rule = { ...this.#base(statement), actions: ['create'], objects: ['connection'], where, limits: [] }
    this.#connections.push({ rule, isForAll })
  }

  #base(statement: RuleStatement): Pick<Rule, 'line' | 'effect' | 'log' | 'must' | 'who'> {
    const { effect, log } = outcomeOf(statement)
    return { line: statement.line, effect: effect as Rule['effect'], log, must: false, who: this.#whoOf(statement) }
  }

  #whoOf(statement: RuleStatement): Who {
    const { identity } = statement
    if (isEverybody(identity)) return { kind: 'all' }
    const isGroup = this.#reading.groupsAt.get(statement)?.has(identity)
    return { kind: 'any', keys: [isGroup ? groupKey(identity) : userKey(identity)] }
  }

  #noteUnknownGroup(statement: RuleStatement): void {
    const { identity, line } = statement
    const isKnown =
      isEverybody(identity) || identity.includes('@') || this.#reading.groupsAt.get(statement)?.has(identity)
    if (!isKnown)
      this.#note('unknown-group', line, 'no group of this name is defined before; it is taken for the name of one user')
  }

  #note(kind: Note['kind'], line: number, message: string): void {
    this.#notes.push({ kind, line, message })
  }

  #quotas(): NonNullable<Policy['quotas']> {
    const numbers = { connections: new Map<string, number>(), queues: new Map<string, number>() }
    const users = usersOf(this.#memberships)
    let named = 0
    for (const statement of this.#reading.quotas) {
      const groups = this.#reading.groupsAt.get(statement)
      for (const name of statement.identities) {
        // The last number counts, so groups become their users here.
        const meant = groups?.has(name) ? (users.get(groupKey(name)) ?? []) : [name]
        named += meant.length
        bound('memberships', named, statement.line)
        for (const user of meant) numbers[statement.of].set(user, statement.most)
      }
    }
    const { connections, queues } = numbers
    return { ...(connections.size > 0 ? { connections } : {}), ...(queues.size > 0 ? { queues } : {}) }
  }
}

/** The users of each group, directly or by way of others. */
function usersOf(memberships: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const users = new Map<string, string[]>()
  for (const [member, groups] of memberships) {
    if (!member.startsWith(USER)) continue
    for (const group of groups) {
      const own = users.get(group)
      if (own) own.push(member.slice(USER.length))
      else users.set(group, [member.slice(USER.length)])
    }
  }
  return users
}

const USER = userKey('')

function outcomeOf({ permission }: RuleStatement): Outcome {
  return { effect: permission.startsWith('allow') ? 'allow' : 'deny', log: permission.endsWith('-log') }
}

/** The broker takes a star for all, too. */
const isEverybody = (identity: string): boolean => identity === EVERYBODY || identity === '*'
const wordOf = (word: string | undefined): string | undefined => (word === EVERYBODY ? undefined : word)

/** One rule per action, with all objects that it can be about. */
function groupLookups(lookups: readonly Lookup[]): [string[], string[]][] {
  const byAction = new Map<string, string[]>()
  for (const { action, object } of lookups) byAction.set(action, [...(byAction.get(action) ?? []), object])
  return [...byAction].map(([action, objects]) => [[action], objects])
}
