import { parseArgs } from 'node:util'
import { Ask } from '../../packages/edge/src/acl/ask.ts'
import { may } from '../../packages/edge/src/acl/authority.ts'
import { type BoundCaller, CompiledPolicy } from '../../packages/edge/src/acl/compile.ts'
import { decideNaively } from '../../packages/edge/src/acl/naive.ts'
import type { Policy } from '../../packages/edge/src/acl/policy.ts'
import { ACTIONS } from '../../packages/edge/src/acl/vocabulary.ts'
import { Failure, main } from '../../scripts/project.mjs'
import { generator } from '../../test/support/random.ts'
import { median } from '../harness/median.ts'
import { largePolicy, type Question, someQuestions } from './policy.ts'

/**
 * What deciding costs: `node --experimental-strip-types bench/acl/run.ts`. Naive and compiled take turns, and the ratio is taken turn by
 * turn, so that a noisy machine disturbs both.
 */
const QUESTIONS = 2_000
const TURNS = 10
const NAIVE_QUESTIONS = 200
const MASK_TESTS = 20_000_000
const TARGETS = { ratio: 30, p99Us: 2, maskUs: 0.1 }

/** What a call gave, so that no call can be left out. */
const sink: { kept?: unknown } = {}

await main(() => {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '15' }, rules: { type: 'string', default: '10000' } },
  })
  const [rounds, rules] = [Number(values.rounds), Number(values.rules)]
  const random = generator('acl-bench')
  const parsed = timed(() => largePolicy(rules, random))
  const { policy } = parsed.value
  const compiled = timed(() => new CompiledPolicy(policy))
  const questions = someQuestions(QUESTIONS, parsed.value, random)
  const bound = questions.map(({ caller }) => compiled.value.bind(caller))
  checkAnswers(policy, compiled.value, questions.slice(0, 1_000))

  const ratios: number[] = []
  const naive: number[] = []
  const fast: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const plainUs = perCall(NAIVE_QUESTIONS, (at) => decideNaively(policy, ...pairOf(questions, round * 7 + at)))
    const fastUs = perCall(QUESTIONS * TURNS, (at) =>
      compiled.value.decide(bound[at % QUESTIONS] as BoundCaller, fresh(questions, at)),
    )
    // The first round warms up.
    if (round === 0) continue
    naive.push(plainUs)
    fast.push(fastUs)
    ratios.push(plainUs / fastUs)
  }
  const p99s = Array.from({ length: rounds }, () => p99Us(compiled.value, bound, questions))
  const bindUs = perCall(QUESTIONS, (at) => compiled.value.bind((questions[at] as Question).caller))
  const maskUs = maskTestUs()

  const ratio = median(ratios)
  const p99 = median(p99s)
  console.log(`${random.seed}; ${rules} rules, ${rounds} rounds, Node ${process.versions.node}`)
  console.log(
    `parse ${parsed.ms.toFixed(0)} ms, compile ${compiled.ms.toFixed(0)} ms, bind a caller ${bindUs.toFixed(2)} µs`,
  )
  console.log(`naive ${median(naive).toFixed(1)} µs, compiled ${median(fast).toFixed(3)} µs a decision`)
  console.log(
    `ratio ${ratio.toFixed(0)} (${Math.min(...ratios).toFixed(0)} to ${Math.max(...ratios).toFixed(0)}), wanted ${TARGETS.ratio}`,
  )
  console.log(
    `p99 ${p99.toFixed(2)} µs (${Math.min(...p99s).toFixed(2)} to ${Math.max(...p99s).toFixed(2)}), wanted ${TARGETS.p99Us}`,
  )
  console.log(`mask test ${maskUs.toFixed(4)} µs, wanted ${TARGETS.maskUs}`)
  if (ratio < TARGETS.ratio || p99 > TARGETS.p99Us || maskUs > TARGETS.maskUs) throw new Failure('missed a target.')
})

function timed<T>(make: () => T): { value: T; ms: number } {
  const startedAt = performance.now()
  const value = make()
  return { value, ms: performance.now() - startedAt }
}

function perCall(count: number, call: (at: number) => unknown): number {
  const startedAt = performance.now()
  for (let at = 0; at < count; at++) sink.kept = call(at)
  return ((performance.now() - startedAt) * 1000) / count
}

/** A question that nobody has asked: it has not been cut into levels yet. */
function fresh(questions: readonly Question[], at: number): Ask {
  const { action, object, name } = (questions[at % questions.length] as Question).ask
  return new Ask(action, object, name === undefined ? {} : { name })
}

function pairOf(questions: readonly Question[], at: number): [Question['caller'], Ask] {
  return [(questions[at % questions.length] as Question).caller, fresh(questions, at)]
}

/** Of single decisions, each timed alone; the timer's own cost is in it. */
function p99Us(compiled: CompiledPolicy, bound: readonly BoundCaller[], questions: readonly Question[]): number {
  const times = new Float64Array(questions.length * TURNS)
  for (let at = 0; at < times.length; at++) {
    const ask = fresh(questions, at)
    const startedAt = performance.now()
    sink.kept = compiled.decide(bound[at % bound.length] as BoundCaller, ask)
    times[at] = (performance.now() - startedAt) * 1000
  }
  times.sort()
  return times[Math.floor(times.length * 0.99)] as number
}

function maskTestUs(): number {
  let allowed = 0
  const startedAt = performance.now()
  for (let at = 0; at < MASK_TESTS; at++) if (may(at, ACTIONS[at & 15] as (typeof ACTIONS)[number])) allowed++
  sink.kept = allowed
  return ((performance.now() - startedAt) * 1000) / MASK_TESTS
}

function checkAnswers(policy: Policy, compiled: CompiledPolicy, questions: readonly Question[]): void {
  let decided = 0
  for (const { caller, ask } of questions) {
    const plain = decideNaively(policy, caller, ask)
    if (plain.rule !== compiled.decide(compiled.bind(caller), ask).rule)
      throw new Failure('the evaluators do not agree.')
    if (plain.rule) decided++
  }
  console.log(`${decided} of ${questions.length} checked questions are decided by a rule`)
}
