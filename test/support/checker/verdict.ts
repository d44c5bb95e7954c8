import { INVARIANTS, type Invariant } from './invariants.ts'

/** So many examples of each violation are kept; all are counted. */
export const EXAMPLES = 32

export interface Violation {
  count: number
  readonly examples: string[]
}

/** What the checker says of one history, or of many that were {@link Verdict.add added} up. */
export class Verdict {
  histories = 0
  /** Of them, those in which fewer than half of the publishes were acked: they show nothing. */
  invalid = 0
  readonly violations = new Map<Invariant, Violation>()
  /** Events by their kind. */
  readonly counts = new Map<string, number>()
  /** How often each invariant was put to the test: one that never was has shown nothing. */
  readonly checked = new Map<Invariant, number>()
  readonly faults = new Map<string, number>()
  /** Acked messages that are gone, by where: before all that is left, between, or behind. */
  readonly lost = { prefix: 0, middle: 0, postfix: 0 }

  /** @returns whether it failed, so that the example is only put into words where there is one */
  failed(invariant: Invariant, holds: boolean): boolean {
    this.checked.set(invariant, (this.checked.get(invariant) ?? 0) + 1)
    return !holds
  }

  violated(invariant: Invariant, example: string): void {
    const violation = this.violations.get(invariant) ?? { count: 0, examples: [] }
    this.violations.set(invariant, violation)
    violation.count++
    if (violation.examples.length < EXAMPLES) violation.examples.push(example)
  }

  get violationCount(): number {
    return sum([...this.violations.values()].map(({ count }) => count))
  }

  /** @param from says which history it was, as by its seed */
  add(other: Verdict, from: string): void {
    this.histories += other.histories
    this.invalid += other.invalid
    for (const [kind, count] of other.counts) increase(this.counts, kind, count)
    for (const [invariant, count] of other.checked) increase(this.checked, invariant, count)
    for (const [kind, count] of other.faults) increase(this.faults, kind, count)
    for (const place of ['prefix', 'middle', 'postfix'] as const) this.lost[place] += other.lost[place]
    for (const [invariant, { count, examples }] of other.violations) {
      for (const example of examples) this.violated(invariant, `${from}: ${example}`)
      const violation = this.violations.get(invariant) as Violation
      violation.count += count - examples.length
    }
  }

  toJSON() {
    return {
      histories: this.histories,
      invalid: this.invalid,
      violations: [...this.violations].map(([invariant, violation]) => ({
        invariant,
        ...INVARIANTS[invariant],
        ...violation,
      })),
      lost: this.lost,
      counts: Object.fromEntries(this.counts),
      checked: Object.fromEntries(this.checked),
      faults: Object.fromEntries(this.faults),
    }
  }
}

function increase<K>(map: Map<K, number>, key: K, by: number): void {
  map.set(key, (map.get(key) ?? 0) + by)
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)
