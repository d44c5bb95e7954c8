import { LANES } from './job.ts'

/** How many there are in each lane. */
export class Tally {
  readonly counts: number[]

  constructor(pairs: readonly (readonly [lane: number, count: number])[] = []) {
    this.counts = Array.from({ length: LANES.completed + 1 }, () => 0)
    for (const [lane, count] of pairs) this.add(lane, count)
  }

  add(lane: number, count: number): void {
    this.counts[lane] = this.in(lane) + count
  }

  in(lane: number): number {
    return this.counts[lane] ?? 0
  }

  /** Those of a kind: of lanes from one on and before another one. */
  between(from: number, to: number): number {
    return this.counts.slice(from, to).reduce((sum, count) => sum + count, 0)
  }

  /** Less those of others, and without what is 0. */
  less(...others: readonly Tally[]): [lane: number, count: number][] {
    return this.counts.flatMap((count, lane) => {
      const rest = others.reduce((left, other) => left - other.in(lane), count)
      return rest === 0 ? [] : [[lane, rest] as [number, number]]
    })
  }
}
