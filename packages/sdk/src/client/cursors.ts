import { pause } from '../platform.ts'
import type { Cursor } from '../protocol/cursor.ts'

/** Where named subscriptions stopped. What fails does so with a `MessError`. */
export interface CursorStore {
  load(topic: string, name: string): Promise<Cursor | undefined>
  /** Moves only forward within an epoch; may be put off, never reordered. */
  save(topic: string, name: string, cursor: Cursor): void
  /**
   * One holder at a time; `undefined` if another has it.
   * @param away called when the name must be let go, as the page is put away: save, and hold it anew
   */
  hold(topic: string, name: string, away?: () => void): Promise<(() => void) | undefined>
}

/** For the life of the process. */
export class MemoryCursors implements CursorStore {
  readonly #cursors = new Map<string, Cursor>()
  readonly #held = new Set<string>()

  async load(topic: string, name: string): Promise<Cursor | undefined> {
    return this.#cursors.get(keyOf(topic, name))
  }

  save(topic: string, name: string, cursor: Cursor): void {
    this.#cursors.set(keyOf(topic, name), cursor)
  }

  async hold(topic: string, name: string): Promise<(() => void) | undefined> {
    const key = keyOf(topic, name)
    // A subscription that was stopped in this very tick, as by a component that is mounted twice, lets go right after it.
    if (this.#held.has(key)) await pause(0)
    if (this.#held.has(key)) return undefined
    this.#held.add(key)
    return () => this.#held.delete(key)
  }
}

export function memoryCursors(): () => Promise<CursorStore> {
  const cursors = new MemoryCursors()
  return async () => cursors
}

/** No topic name holds a line break. */
const keyOf = (topic: string, name: string): string => `${topic}\n${name}`
