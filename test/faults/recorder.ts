import type { HistoryEvent } from '../support/checker/history.ts'

/** An event and when it was written down, by the clock that all processes of a machine share, in ns. */
export type Stamped = readonly [at: number, event: HistoryEvent]

export const stamp = (): number => Number(process.hrtime.bigint())

/** The history of one topic as this process saw it, which others that kept their own can be merged with. */
export class HistoryRecorder {
  readonly #events: Stamped[] = []

  push(event: HistoryEvent): void {
    this.#events.push([stamp(), event])
  }

  /** What another process wrote down. */
  merge(events: readonly Stamped[]): void {
    // One by one: as arguments of one call they would not fit on the stack.
    for (const event of events) this.#events.push(event)
  }

  fault(kind: string): void {
    this.push({ e: 'fault', kind })
  }

  count(kind: HistoryEvent['e']): number {
    return this.#events.filter(([, { e }]) => e === kind).length
  }

  /** In the order in which it happened, whoever wrote it down. */
  history(): HistoryEvent[] {
    return this.#events.sort(([a], [b]) => a - b).map(([, event]) => event)
  }
}
