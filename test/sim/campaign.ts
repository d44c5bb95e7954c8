import { createHash } from 'node:crypto'
import { Verdict } from '../support/checker/verdict.ts'
import type { Outcome } from './world.ts'

export interface CampaignOptions {
  readonly simulate: (seed: number) => Outcome | Promise<Outcome>
  readonly first: number
  readonly seeds: number
  /** What must have happened at least once, or the campaign has shown nothing about it. */
  readonly kinds: readonly string[]
}

export interface Campaign {
  readonly seeds: number
  readonly steps: number
  /** What it took, and how long a core worked on the simulation itself: the machine may have other things to do. */
  readonly seconds: number
  readonly coreSeconds: number
  readonly stepsPerMinute: number
  /** Of all histories. The same seeds and the same sources give the same text, on every machine. */
  readonly hash: string
  readonly happened: Readonly<Record<string, number>>
  readonly never: readonly string[]
  /** Seed and what was wrong with it. */
  readonly failures: readonly string[]
  readonly verdict: Verdict
}

export async function campaign({ simulate, first, seeds, kinds }: CampaignOptions): Promise<Campaign> {
  const verdict = new Verdict()
  const happened = new Map<string, number>()
  const failures: string[] = []
  const hash = createHash('sha256')
  const startedAt = performance.now()
  let steps = 0
  let coreMicros = 0
  for (let seed = first; seed < first + seeds; seed++) {
    try {
      const before = process.cpuUsage()
      const outcome = await simulate(seed)
      const { user, system } = process.cpuUsage(before)
      coreMicros += user + system
      steps += outcome.steps
      hash.update(textOf(outcome))
      verdict.add(outcome.verdict, `seed ${seed}`)
      for (const [what, count] of outcome.counters) happened.set(what, (happened.get(what) ?? 0) + count)
      for (const [invariant, { count, examples }] of outcome.verdict.violations)
        failures.push(`seed ${seed}: ${invariant} (${count}): ${examples[0]}`)
    } catch (error) {
      // An assertion of the product or of the simulation, or a client that cannot go on.
      hash.update(`seed ${seed} ${error}`)
      failures.push(`seed ${seed}: ${error}`)
    }
  }
  const coreSeconds = coreMicros / 1e6
  for (const [fault, count] of verdict.faults) happened.set(fault, count)
  return {
    seeds,
    steps,
    seconds: (performance.now() - startedAt) / 1000,
    coreSeconds,
    stepsPerMinute: (steps / coreSeconds) * 60,
    hash: hash.digest('hex').slice(0, 16),
    happened: Object.fromEntries([...kinds, ...happened.keys()].map((kind) => [kind, happened.get(kind) ?? 0])),
    never: kinds.filter((kind) => !happened.has(kind)),
    failures,
    verdict,
  }
}

export const succeeded = ({ failures, never }: Campaign): boolean => failures.length === 0 && never.length === 0

/** Everything that happened in one history, for comparing it with another run of the same seed. */
export const textOf = ({ history, steps }: Outcome): string => JSON.stringify([history, steps])

export const hashOf = (outcome: Outcome): string =>
  createHash('sha256').update(textOf(outcome)).digest('hex').slice(0, 16)

/** @param repeat the command that shows one history, to which its seed is added */
export function tellCampaign(
  { seeds, steps, stepsPerMinute, hash, happened, never, failures }: Campaign,
  repeat: string,
): string {
  const broken = failures.flatMap((failure) => [failure, `  ${repeat} ${/\d+/.exec(failure)?.[0]}`])
  const kinds = Object.entries(happened).map(([kind, count]) => `  ${kind}: ${count}`)
  const violations = `${failures.length} violations${never.length > 0 ? `, never met: ${never.join(', ')}` : ''}`
  const millions = (count: number): string => `${(count / 1e6).toFixed(1)} M`
  const summary = `${seeds} histories ${hash}, ${millions(steps)} steps (${millions(stepsPerMinute)} a minute of one core), ${violations}`
  return [...broken, ...kinds, summary].join('\n')
}
