import type { Retention } from '../../packages/sdk/src/broker/retention.ts'
import type { Commit } from '../../packages/sdk/src/store/store.ts'

interface Stretch {
  readonly next: number
  /** Byte position at `next`, and when the newest message in it was appended. */
  readonly end: number
  readonly at: number
}

/**
 * What retention may have taken by now, and not one message more: an account of its own, simpler than the broker's, to judge it by.
 * A commit counts from the moment in which it was tried.
 */
export class Kept {
  readonly #retention: Retention
  readonly #stretches: Stretch[] = []
  #floor = 0

  constructor(retention: Retention) {
    this.#retention = retention
  }

  written({ expect, replaceTail, append }: Commit): void {
    // What was tried behind this and got lost is written anew.
    while ((this.#stretches.at(-1)?.next ?? 0) > expect.head) this.#stretches.pop()
    for (const { next, start, size, runs } of replaceTail ? [replaceTail] : append) {
      const at = this.#retention.ageMs === undefined ? 0 : newestTime(runs)
      this.#stretches.push({ next, end: start + size, at })
    }
  }

  /** The highest offset below which everything may be gone. */
  floor(nowMs: number): number {
    const { messages = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY, ageMs } = this.#retention
    const newest = this.#stretches.at(-1)
    if (!newest) return this.#floor
    for (const { next, end, at } of this.#stretches) {
      const mayGo =
        newest.next - next >= messages || newest.end - end >= bytes || (ageMs !== undefined && at + ageMs < nowMs)
      if (!mayGo) break
      this.#floor = Math.max(this.#floor, next)
    }
    return this.#floor
  }
}

function newestTime(runs: string): number {
  return (JSON.parse(`[${runs}]`) as [string, number, number, number][]).at(-1)?.[3] ?? 0
}
