import { ACL_BOUNDS } from '../bounds.ts'
import { isDigits } from '../characters.ts'
import { bound, Problems, refuse } from '../errors.ts'
import { type Line, readLines, type Token } from '../lexer.ts'
import { ALLOW, DEFER, DENY, type Note, type Outcome, type Policy } from '../policy.ts'
import { readProperties } from '../properties.ts'
import type { ConfigStatement, PropertyStatement, RuleStatement } from '../statements.ts'
import { meaningOf, readRule, toRule } from './broker-j-rule.ts'

export const WORD = '_-.*@:+'

/** Rules in the notation of Apache Qpid Broker-J. */
export function parseBrokerJ(text: string): Policy {
  const problems = new Problems()
  const reading = new Reading()
  const lexicon = { word: WORD, isLoose: true, onNote: (kind: Note['kind'], line: number) => reading.note(kind, line) }
  for (const line of readLines(text, lexicon, problems)) problems.try(() => reading.read(line))
  problems.throwAny()
  return reading.policy()
}

class Reading {
  readonly #numbered = new Map<number, RuleStatement>()
  readonly #byMeaning = new Map<string, number>()
  readonly #configs: ConfigStatement[] = []
  readonly #notes: Note[] = []
  #unmentioned: Outcome | undefined
  #last: number | undefined

  read({ tokens }: Line): void {
    const [first, second] = tokens as readonly [Token, Token | undefined]
    if (!second) refuse('too-few-tokens', first.line, 'a line needs more than one word')
    const isNumbered = isDigits(first.text)
    const keyword = isNumbered ? second : first
    const rest = tokens.slice(isNumbered ? 2 : 1)
    const word = keyword.text.toLowerCase()
    if (word === 'acl') this.#readRule(keyword.line, isNumbered ? Number(first.text) : undefined, rest)
    else if (isNumbered) refuse('number-not-allowed', keyword.line, 'only rules have numbers')
    else if (word === 'config') this.#readConfig(keyword.line, rest)
    else if (word === 'group')
      refuse('group-not-supported', keyword.line, 'groups come from the directory, not from the rules')
    else refuse('unknown-line', keyword.line, 'a line begins with ACL or CONFIG')
  }

  note(kind: Note['kind'], line: number, message = NOTES[kind] ?? ''): void {
    this.#notes.push({ kind, line, message })
  }

  policy(): Policy {
    const statements = [...this.#numbered].toSorted(([a], [b]) => a - b).map(([number, rule]) => ({ ...rule, number }))
    const kept = statements.filter((statement) => !this.#isDropped(statement))
    return {
      dialect: 'broker-j',
      statements: [...this.#configs, ...statements],
      rules: kept.map((statement, order) => toRule(statement, order)),
      memberships: new Map(),
      groups: new Set(),
      otherwise: {
        unmentioned: this.#unmentioned ?? DENY,
        unmatched: DEFER,
        final: this.#unmentioned?.effect === 'allow' ? 'allow' : 'deny',
      },
      notes: this.#notes,
    }
  }

  #isDropped({ identity, actions, line }: RuleStatement): boolean {
    const isDropped = identity.toLowerCase() === 'owner' && actions[0] === 'create'
    if (isDropped) this.note('dropped-rule', line, 'nobody owns what is not created yet; the rule is left out')
    return isDropped
  }

  #readRule(line: number, number: number | undefined, tokens: readonly Token[]): void {
    if (number !== undefined && number > ACL_BOUNDS.ruleNumber)
      refuse('bad-rule-number', line, 'a rule number is too large')
    if (number !== undefined && this.#numbered.has(number))
      refuse('duplicate-rule-number', line, 'another rule has the same number')
    const statement = readRule(line, tokens)
    // Conditions are made here for what can be wrong with them.
    toRule(statement, 0)
    this.#place(statement, number ?? (this.#numbered.size === 0 ? 0 : (this.#last as number) + 10))
    bound('rules', this.#numbered.size, line)
  }

  /** Of two rules that ask for the same the one with the lower number stays, whatever they permit. */
  #place(statement: RuleStatement, number: number): void {
    const meaning = meaningOf(statement)
    const known = this.#byMeaning.get(meaning)
    if (known !== undefined) {
      this.note(
        'duplicate-rule',
        statement.line,
        'a rule asks for the same as another one; the one with the lower number counts',
      )
      if (known <= number) return
      this.#numbered.delete(known)
    }
    if (number > ACL_BOUNDS.ruleNumber) refuse('bad-rule-number', statement.line, 'a rule number is too large')
    this.#numbered.set(number, statement)
    this.#byMeaning.set(meaning, number)
    // Looking at all numbers again is worth it only where the highest was given up.
    const isLast = known !== undefined && known === this.#last
    this.#last = isLast ? Math.max(...this.#numbered.keys()) : Math.max(this.#last ?? 0, number)
  }

  #readConfig(line: number, tokens: readonly Token[]): void {
    if (tokens.length < 3) refuse('too-few-tokens', line, 'CONFIG needs a setting, as in CONFIG defaultallow=true')
    const settings: PropertyStatement[] = []
    for (const { name, values } of readProperties(tokens)) {
      if (values.length !== 1) refuse('bad-property-value', line, 'a setting has one value')
      settings.push({ name, values })
      const outcome = DEFAULTS.get(name.toLowerCase())
      if (outcome && values[0]?.toLowerCase() === 'true') this.#unmentioned = outcome
    }
    this.#configs.push({ kind: 'config', line, settings })
  }
}

const DEFAULTS: ReadonlyMap<string, Outcome> = new Map([
  ['defaultallow', ALLOW],
  ['defaultdeny', DENY],
  ['defaultdefer', DEFER],
])

const NOTES: Readonly<Partial<Record<Note['kind'], string>>> = {
  'unquoted-hash': 'a comment begins right behind a word; quote text that has a # in it',
  'eaten-backslash': 'a backslash inside quotes is left out; write [.] for a dot in a pattern',
}
