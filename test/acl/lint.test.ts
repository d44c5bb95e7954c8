import { expect, test } from 'vitest'
import type { Decision } from '../../packages/edge/src/acl/decision.ts'
import { lint } from '../../packages/edge/src/acl/lint.ts'
import { decideNaively } from '../../packages/edge/src/acl/naive.ts'
import type { Policy, Rule } from '../../packages/edge/src/acl/policy.ts'
import { readRequest } from '../../packages/edge/src/acl/request.ts'
import { generator } from '../support/random.ts'
import { randomPolicy } from './equivalence.ts'
import { type RuleDialect, randomRequest, somePairs } from './random-policy.ts'

const DIALECTS: readonly RuleDialect[] = ['native', 'broker-j', 'cpp']
const POLICIES = 1_500
const EACH = 10

test('a rule that is called dead never decides', () => {
  const random = generator('acl-lint')
  let dead = 0

  for (let made = 0; made < POLICIES; made++) {
    const dialect = DIALECTS[made % DIALECTS.length] as RuleDialect
    const about = somePairs(dialect, random)
    const { policy, text } = randomPolicy(dialect, random, about)
    const lines = new Set(
      lint(policy).flatMap(({ kind, line }) => (kind === 'dead-rule' || kind === 'shadowed-deny' ? line : [])),
    )
    dead += lines.size
    const tried = inTrial(policy)
    for (let asked = 0; asked < EACH && lines.size > 0; asked++) {
      const request = randomRequest(dialect, random, about)
      const { caller, ask } = readRequest(request)
      const { rule }: Decision = decideNaively(tried, caller, ask)
      expect(rule && lines.has(rule.line), `${random.seed}\n${text}\n${JSON.stringify(request)}`).toBeFalsy()
    }
  }

  expect(dead).toBeGreaterThan(POLICIES / 20)
})

/** Rules that must come first do. */
function inTrial(policy: Policy): Policy {
  const rules: Rule[] = policy.rules.toSorted((a, b) => Number(b.must) - Number(a.must) || a.order - b.order)
  return { ...policy, rules }
}
