import type { AuditRecord, Records } from './records.ts'

const REFUSALS = { windowMs: 60_000, openWindows: 1_000 } as const

interface Window {
  readonly at: number
  readonly id: number
  count: number
  written: number
}

/**
 * Refusals are counted: one row for each who, what and why in a minute, which names what was asked for first. So nobody pushes out what others
 * did by asking for more. The row is written anew when its count has doubled, and before
 * somebody reads it, so a storm of refusals costs few rows; what a lost memory takes along is less than half of a count.
 */
export class Refusals {
  readonly #records: Records
  readonly #open = new Map<string, Window>()

  constructor(records: Records) {
    this.#records = records
  }

  add(record: AuditRecord): void {
    const { at: now, who, what, reason, count } = record
    const key = JSON.stringify([who, what, reason])
    const at = now - (now % REFUSALS.windowMs)
    const known = this.#open.get(key)
    if (known?.at === at) {
      known.count += count
      if (known.count >= 2 * known.written) this.#write(known)
      return
    }
    if (known) this.#close(key, known)
    const [oldest] = this.#open
    if (oldest && this.#open.size >= REFUSALS.openWindows) this.#close(...oldest)
    this.#open.set(key, { at, id: this.#records.add({ ...record, at }), count, written: count })
  }

  /** Writes down what is only counted so far. */
  flush(): void {
    for (const window of this.#open.values()) this.#write(window)
  }

  #close(key: string, window: Window): void {
    this.#write(window)
    this.#open.delete(key)
  }

  #write(window: Window): void {
    if (window.written === window.count) return
    this.#records.setCount(window.id, window.count)
    window.written = window.count
  }
}
