import type { Kept } from './kept.ts'

const PREFIX = 'draft '
/** An id that the outbox does not list may still be on its way into it, from another tab. */
const YOUNG_MS = 60_000
/** Enough to know it again. */
const KEPT_CHARS = 300

/**
 * The texts of what waits in the outbox, by message id. The messages themselves are safe in Messkit's own outbox; it lists ids and
 * states, and no payloads, and after a reload, or in another tab, a person wants to read what is waiting.
 */
export class Drafts {
  readonly #kept: Kept

  constructor(kept: Kept) {
    this.#kept = kept
  }

  note(id: string, text: string): void {
    this.#kept.set(PREFIX + id, JSON.stringify([Date.now(), text.slice(0, KEPT_CHARS)]))
  }

  textOf(id: string): string | undefined {
    return this.#read(PREFIX + id)?.[1]
  }

  forget(id: string): void {
    this.#kept.remove(PREFIX + id)
  }

  /** Throws away what has left the outbox while nobody looked. */
  sweep(listed: ReadonlyMap<string, unknown>): void {
    for (const key of this.#kept.keys()) {
      if (!key.startsWith(PREFIX) || listed.has(key.slice(PREFIX.length))) continue
      if (Date.now() - (this.#read(key)?.[0] ?? 0) > YOUNG_MS) this.#kept.remove(key)
    }
  }

  #read(key: string): [number, string] | undefined {
    const json = this.#kept.get(key)
    return json === undefined ? undefined : (JSON.parse(json) as [number, string])
  }
}
