import type { HistoryEvent } from '../support/checker/history.ts'

/** An event and when it was written down, by the clock that all processes of a machine share, in ns. */
export type Stamped<E = HistoryEvent> = readonly [at: number, event: E]

export const stamp = (): number => Number(process.hrtime.bigint())

/** A fault, whatever else a history is made of. */
interface FaultEvent {
  readonly e: 'fault'
  readonly kind: string
}

/** The history of one topic or queue as this process saw it, which others that kept their own can be merged with. */
export class HistoryRecorder<E extends { readonly e: string } = HistoryEvent> {
  readonly #events: Stamped<E | FaultEvent>[] = []

  push(event: E | FaultEvent): void {
    this.#events.push([stamp(), event])
  }

  /** What another process wrote down. */
  merge(events: readonly Stamped<E>[]): void {
    // One by one: as arguments of one call they would not fit on the stack.
    for (const event of events) this.#events.push(event)
  }

  fault(kind: string): void {
    this.push({ e: 'fault', kind })
  }

  count(kind: E['e']): number {
    return this.#events.filter(([, { e }]) => e === kind).length
  }

  /** In the order in which it happened, whoever wrote it down. */
  history(): (E | FaultEvent)[] {
    return this.stamped().map(([, event]) => event)
  }

  stamped(): Stamped<E | FaultEvent>[] {
    return this.#events.sort(([a], [b]) => a - b)
  }
}
