import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, totalmem } from 'node:os'
import { inRoot } from '../../scripts/project.mjs'
import { median } from './median.ts'
import type { Question } from './question.ts'
import { ratiosOf, type Values } from './rounds.ts'

export interface Entry {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly ratios: Readonly<Record<string, number>>
  /** What the ratio has to reach or, of a duration, not to pass. */
  readonly target: number
  readonly met: boolean
}

/** What Messkit reached. `ratios` are those to one peer, one for each round. */
export function entryOf(
  { name, unit, better, target }: Pick<Question, 'name' | 'unit' | 'better' | 'target'>,
  { values, peer, ratios }: { values: readonly number[]; peer: string; ratios: readonly number[] },
): Entry {
  const ratio = median(ratios)
  const met = better === 'more' ? ratio >= target : ratio <= target
  return { name, value: round(median(values)), unit, ratios: { [peer]: round(ratio) }, target, met }
}

/** What the baseline itself has to reach, or a comparison with it says nothing. */
export function honestyOf({ unit }: Question, { baseline = [], bare }: Values): Entry {
  const target = 0.8
  const ratio = median(ratiosOf(baseline, bare))
  return {
    name: 'baseline-vs-bare',
    value: round(median(baseline)),
    unit,
    ratios: { bare: round(ratio) },
    target,
    met: ratio >= target,
  }
}

/** Four digits say more than these machines can repeat. */
const round = (value: number): number => Number(value.toPrecision(4))

export function writeResults(entries: readonly Entry[], command: string, name = 'latest'): string {
  const machine = {
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.versions.node,
    workerd: (createRequire(inRoot('package.json'))('workerd/package.json') as { version: string }).version,
  }
  const file = `bench/results/${name}.json`
  mkdirSync(inRoot('bench/results'), { recursive: true })
  const results = { at: new Date().toISOString(), machine, commit: commit(), command, entries }
  writeFileSync(inRoot(file), `${JSON.stringify(results, null, 2)}\n`)
  return file
}

/** `unknown` outside a repository; with a `+` where files differ from the commit. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: inRoot(), encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    return (
      git('rev-parse', '--short=12', 'HEAD') +
      (git('status', '--porcelain', '--', 'packages', 'bench', ':!bench/results') === '' ? '' : '+')
    )
  } catch {
    return 'unknown'
  }
}
