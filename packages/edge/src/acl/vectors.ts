import { CompiledPolicy } from './compile.ts'
import type { Decision } from './decision.ts'
import { type ConnectionLimits, decideConnection } from './dialects/broker-j-limits.ts'
import { bound, PolicyError, refuse } from './errors.ts'
import { type GrantPolicy, readGrantPolicy } from './grant-policy.ts'
import { grantedNaively } from './grants.ts'
import { isList, isRecord, isStrings, type Json, memberOf } from './json.ts'
import { decideNaively } from './naive.ts'
import { type Dialect, isDialect, parse } from './parse.ts'
import type { Policy } from './policy.ts'
import { readRequest } from './request.ts'

/** What became of one vector. A vector passes when it does in every dialect that it names and that is known here. */
export interface VectorResult {
  readonly id: string
  /** Empty: none of its dialects is known. */
  readonly ran: readonly string[]
  /** One line each; empty where it passed. */
  readonly faults: readonly string[]
}

/** An answer, as vectors write it. `final` is what a deferral comes to. */
interface Answer {
  readonly expect: string
  readonly final?: string
  readonly log?: boolean
}

/**
 * Runs a file of vectors, of rules or of group permissions. Rules are evaluated twice, by the reference and compiled; both have to
 * give the answer.
 * @throws {PolicyError} of kind `bad-test` where it is no such file
 */
export function runVectors(file: unknown): VectorResult[] {
  const list = isRecord(file) ? memberOf(file, 'vectors') : file
  if (!isList(list)) refuse('bad-test', 0, 'a file of vectors has a list of vectors')
  return list.map((vector, at) => {
    if (!isRecord(vector)) return { id: `#${at}`, ran: ['?'], faults: ['is no vector'] }
    const id = memberOf(vector, 'id')
    return runVector(typeof id === 'string' ? id : `#${at}`, vector)
  })
}

function runVector(id: string, vector: Json): VectorResult {
  try {
    if (memberOf(vector, 'policy') !== undefined) return { id, ran: ['groups'], faults: runGroups(vector) }
    const named = memberOf(vector, 'dialects')
    if (!isStrings(named)) refuse('bad-test', 0, 'a vector names its dialects')
    const dialects = named.filter(isDialect)
    return { id, ran: dialects, faults: dialects.flatMap((dialect) => runRules(dialect, vector)) }
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    return { id, ran: ['?'], faults: [error.message] }
  }
}

function runRules(dialect: Dialect, vector: Json): string[] {
  const rules = memberOf(vector, 'rules')
  if (typeof rules !== 'string') refuse('bad-test', 0, 'a vector has its rules as text')
  const read = attempt(() => parse(rules, { dialect }))
  const answers = read === undefined ? [{ expect: PARSE_ERROR }] : answersOf(read, memberOf(vector, 'request'))
  return answers.flatMap((answer) => compare(vector, answer)).map((fault) => `${dialect}: ${fault}`)
}

const PARSE_ERROR = 'parse-error'

/** By every evaluator there is. */
function answersOf(policy: Policy | ConnectionLimits, json: unknown): Answer[] {
  if (json === null || json === undefined) return [{ expect: 'no parse-error' }]
  const { caller, ask, connecting } = readRequest(json)
  if (policy.dialect === 'broker-j-limits') {
    const { effect, log } = decideConnection(policy, caller, connecting)
    return [{ expect: effect, final: effect, log }]
  }
  const compiled = new CompiledPolicy(policy)
  const decisions = [decideNaively(policy, caller, ask), compiled.decide(compiled.bind(caller), ask)]
  return decisions.map((decision) => answerOf(policy, decision))
}

function answerOf({ otherwise }: Policy, { effect, log }: Decision): Answer {
  return { expect: effect, final: effect === 'defer' ? otherwise.final : effect, log }
}

/** Members that a vector does not have are not compared. */
function compare(vector: Json, answer: Answer): string[] {
  const wanted: readonly (keyof Answer)[] = answer.expect === PARSE_ERROR ? ['expect'] : ['expect', 'final', 'log']
  return wanted.flatMap((member) => {
    const expected = memberOf(vector, member)
    if (member !== 'expect' && expected === undefined) return []
    return expected === answer[member] ? [] : [`${member} is ${answer[member]} and should be ${expected}`]
  })
}

function runGroups(vector: Json): string[] {
  const expected = memberOf(vector, 'expect')
  const policy = attempt(() => readGrantPolicy(memberOf(vector, 'policy')))
  if (!policy) return expected === PARSE_ERROR ? [] : [`the policy is refused and should be answered with ${expected}`]
  if (expected === PARSE_ERROR) return ['the policy is taken and should be refused']
  const steps = memberOf(vector, 'steps') ?? []
  if (!isList(steps)) refuse('bad-test', 0, 'steps are a list')
  bound('stepsPerTest', steps.length)
  const faults = steps.flatMap((step, at) => runStep(policy, step, at))
  const request = memberOf(vector, 'request')
  return [...faults, ...(isRecord(request) ? runGroupRequest(policy, request, expected) : ['has no request'])]
}

function runStep(policy: GrantPolicy, step: unknown, at: number): string[] {
  const expected = isRecord(step) ? memberOf(step, 'expect') : undefined
  const answer = policy.act(step)
  return answer === expected ? [] : [`step ${at + 1} is answered with ${answer} and should be with ${expected}`]
}

function runGroupRequest(policy: GrantPolicy, request: Json, expected: unknown): string[] {
  const text = (member: string) => {
    const value = memberOf(request, member)
    return typeof value === 'string' ? value : ''
  }
  const user = memberOf(request, 'user')
  const isPattern = memberOf(request, 'pattern') === true
  const ask = { action: text('action'), type: text('type'), name: text('name') }
  const answer = policy.decide({ user: typeof user === 'string' ? user : null, ...ask, isPattern })
  const faults = answer === expected ? [] : [`is answered with ${answer} and should be with ${expected}`]
  const { schema } = policy.grants
  const groups = policy.groupsOf(typeof user === 'string' ? user : null)
  const bit = 1 << schema.actions.indexOf(ask.action)
  const mask = grantedNaively(schema, [...policy.grants.rows()], { groups, type: ask.type, name: ask.name })
  const plain = schema.actions.includes(ask.action) && (mask & bit) !== 0 ? 'allow' : 'deny'
  return isPattern || plain === answer ? faults : [...faults, `the reference answers with ${plain}`]
}

/** `undefined` where it is refused. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof PolicyError) return undefined
    throw error
  }
}
