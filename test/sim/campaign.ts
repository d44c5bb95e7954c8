import { simulate } from './world.ts'

/** What must have happened at least once in a campaign, or it has shown nothing about it. */
export const KINDS = [
  'server crash',
  'crash between commit and ack',
  'commit failed',
  'log discarded',
  'cut',
  'half open',
  'late frames',
  'client crash',
  'refused',
  'duplicate',
  'gap',
  'resumed',
] as const

export interface Campaign {
  readonly seeds: number
  readonly steps: number
  readonly seconds: number
  readonly counters: ReadonlyMap<string, number>
  /** Seed and what was wrong with it. */
  readonly failures: readonly string[]
  readonly never: readonly string[]
}

export function campaign(first: number, seeds: number): Campaign {
  const counters = new Map<string, number>()
  const failures: string[] = []
  const startedAt = performance.now()
  let steps = 0
  for (let seed = first; seed < first + seeds; seed++) {
    const outcome = simulate(seed)
    steps += outcome.steps
    for (const [kind, count] of outcome.counters) counters.set(kind, (counters.get(kind) ?? 0) + count)
    for (const [invariant, { count, examples }] of outcome.verdict.violations)
      failures.push(`seed ${seed}: ${invariant} (${count}): ${examples[0]}`)
  }
  const never = KINDS.filter((kind) => !counters.has(kind))
  return { seeds, steps, seconds: (performance.now() - startedAt) / 1000, counters, failures, never }
}

export function tellCampaign({ seeds, steps, seconds, counters, failures, never }: Campaign): string {
  const kinds = [...counters].map(([kind, count]) => `  ${kind}: ${count}`)
  const perMinute = ((steps / seconds) * 60) / 1e6
  const summary = `${seeds} histories, ${(steps / 1e6).toFixed(1)} M steps (${perMinute.toFixed(1)} M a minute), ${failures.length} violations`
  return [...failures, ...kinds, ...never.map((kind) => `  never: ${kind}`), summary].join('\n')
}
