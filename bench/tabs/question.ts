import { median } from '../harness/median.ts'
import type { Stage } from './stage.ts'

/** One round's figure of Messkit, and of the bare parts that it is held against. */
export interface Pair {
  readonly messkit: number
  readonly peer: number
}

/** What the benchmark asks of Messkit in a browser, against the bare parts measured in the same round by the same pages. */
export interface TabQuestion {
  readonly name: string
  readonly asks: string
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly target: number
  /** What it is held against. */
  readonly peer: string
  /** One round on fresh topics. Where it is asked of several tabs there is a pair for each case; the worst one counts. */
  round(stage: Stage, round: number): Promise<Readonly<Record<string, Pair>>>
}

/** @param name one that nobody has used before */
type Measure = (name: string) => Promise<number>

/** Contenders one right after the other, in several turns, and the order turns around each time. The median of all that came counts. */
export async function inTurns<C extends string>(
  contenders: Readonly<Record<C, Measure>>,
  { turns, round, name }: { turns: number; round: number; name: string },
): Promise<Record<C, number>> {
  const values = new Map<string, number[]>()
  const entries = Object.entries(contenders) as [C, Measure][]
  for (let turn = 0; turn < turns; turn++) {
    for (const [contender, measure] of (round + turn) % 2 === 0 ? entries : entries.toReversed()) {
      const measured = await measure(`${name}/${contender}/${round}-${turn}`)
      values.set(contender, [...(values.get(contender) ?? []), measured])
    }
  }
  return Object.fromEntries([...values].map(([contender, all]) => [contender, median(all)])) as Record<C, number>
}
