import { CompiledPolicy } from '../../packages/edge/src/acl/compile.ts'
import type { Decision } from '../../packages/edge/src/acl/decision.ts'
import { PolicyError } from '../../packages/edge/src/acl/errors.ts'
import { decideNaively } from '../../packages/edge/src/acl/naive.ts'
import { parse } from '../../packages/edge/src/acl/parse.ts'
import type { Policy } from '../../packages/edge/src/acl/policy.ts'
import { readRequest } from '../../packages/edge/src/acl/request.ts'
import type { Random } from '../support/random.ts'
import { type RuleDialect, randomLines, randomRequest, somePairs } from './random-policy.ts'

const DIALECTS: readonly RuleDialect[] = ['native', 'broker-j', 'cpp']

export interface Compared {
  readonly policies: number
  readonly requests: number
  /** How the decisions came about, by dialect: a kind that never happens is not compared. */
  readonly kinds: ReadonlyMap<string, number>
  readonly differences: readonly string[]
}

/** Policies at random, each asked several things of both evaluators. */
export function compareEvaluators(
  random: Random,
  { policies, requestsEach }: { policies: number; requestsEach: number },
): Compared {
  const kinds = new Map<string, number>()
  const differences: string[] = []
  for (let made = 0; made < policies; made++) {
    const dialect = DIALECTS[made % DIALECTS.length] as RuleDialect
    const about = somePairs(dialect, random)
    const { policy, text } = randomPolicy(dialect, random, about)
    const compiled = new CompiledPolicy(policy)
    for (let asked = 0; asked < requestsEach; asked++) {
      const request = randomRequest(dialect, random, about)
      const { caller, ask } = readRequest(request)
      const plain = decideNaively(policy, caller, ask)
      const fast = compiled.decide(compiled.bind(caller), ask)
      const kind = `${dialect} ${plain.effect} ${plain.reason}`
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
      if (toText(plain) !== toText(fast))
        differences.push(`${dialect}: ${toText(plain)} and not ${toText(fast)}\n${text}\n${JSON.stringify(request)}`)
    }
  }
  return { policies, requests: policies * requestsEach, kinds, differences }
}

const MOST_LINES = 14

export function randomPolicy(
  dialect: RuleDialect,
  random: Random,
  about = somePairs(dialect, random),
): { policy: Policy; text: string } {
  let lines = randomLines(dialect, random, { count: 1 + random.below(MOST_LINES), about })
  for (;;) {
    try {
      const text = lines.join('\n')
      return { policy: parse(text, { dialect }), text }
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error
      const bad = new Set(error.problems.map(({ line }) => line))
      const left = lines.filter((_, at) => !bad.has(at + 1))
      if (left.length === lines.length) throw error
      lines = left
    }
  }
}

function toText({ effect, log, reason, rule, from, limits }: Decision): string {
  return JSON.stringify([effect, log, reason, rule?.line, rule?.order, from, limits?.length])
}
