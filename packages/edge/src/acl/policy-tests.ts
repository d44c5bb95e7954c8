import { CompiledPolicy } from './compile.ts'
import { bound, PolicyError, refuse } from './errors.ts'
import { isRecord, memberOf } from './json.ts'
import { decideNaively } from './naive.ts'
import type { Policy } from './policy.ts'
import { readRequest } from './request.ts'

/** A test that a policy brings along: a vector without rules, `{ id, request, expect, final?, log?, note? }`. */
export interface TestFailure {
  readonly id: string
  readonly message: string
}

/**
 * Runs a policy's own tests. A policy is not activated while one fails. `final` is what a deferral comes to when nobody else decides.
 * @throws {PolicyError} naming the bound, for too many tests
 */
export function testPolicy(policy: Policy, tests: readonly unknown[]): TestFailure[] {
  bound('testsPerPolicy', tests.length)
  const compiled = new CompiledPolicy(policy)
  return tests.flatMap((test, at) => {
    const id = isRecord(test) ? memberOf(test, 'id') : undefined
    const message = runTest(compiled, test)
    return message === undefined ? [] : [{ id: typeof id === 'string' ? id : `#${at + 1}`, message }]
  })
}

function runTest(compiled: CompiledPolicy, test: unknown): string | undefined {
  try {
    return differenceOf(compiled, test)
  } catch (error) {
    if (error instanceof PolicyError) return error.message
    throw error
  }
}

function differenceOf(compiled: CompiledPolicy, test: unknown): string | undefined {
  if (!isRecord(test)) refuse('bad-test', 0, 'a test is an object')
  const { policy } = compiled
  const { caller, ask } = readRequest(memberOf(test, 'request'))
  const decisions = [decideNaively(policy, caller, ask), compiled.decide(compiled.bind(caller), ask)]
  const expected = { expect: memberOf(test, 'expect'), final: memberOf(test, 'final'), log: memberOf(test, 'log') }
  if (expected.expect === undefined && expected.final === undefined) return 'a test says what to expect'
  for (const { effect, log } of decisions) {
    const answer = { expect: effect, final: effect === 'defer' ? policy.otherwise.final : effect, log }
    for (const member of ['expect', 'final', 'log'] as const) {
      const wanted = expected[member]
      if (wanted !== undefined && wanted !== answer[member])
        return `${member} is ${answer[member]} and should be ${wanted}`
    }
  }
  return undefined
}
