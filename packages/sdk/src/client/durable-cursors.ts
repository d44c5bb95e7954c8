import { Alarm, elapsed, takeLock } from '../platform.ts'
import type { Cursor } from '../protocol/cursor.ts'
import { ask, type Database } from '../store/indexeddb-database.ts'
import type { CursorStore } from './cursors.ts'
import { failureOf } from './durable-errors.ts'
import { Pump } from './pump.ts'

interface StoredCursor {
  readonly v: 1
  readonly cursor: Cursor
}

/**
 * How long a name may stay taken. A page that is loaded anew, or mounted twice, asks before its predecessor has let go; asking
 * once would make an error of that.
 */
const HOLD_MS = 2_000
const EPOCH_CHARS = 16

/** Where named subscriptions stopped, for all tabs of the origin. */
export class DurableCursors implements CursorStore {
  readonly #memory: CursorStore
  readonly #unsaved = new Map<string, Cursor>()
  readonly #saver = new Pump(() => this.#save())
  readonly #held = new Set<() => void>()
  /** Names that were let go as the page was put away, and are not taken again yet. */
  readonly #left = new Set<string>()
  readonly #prefix: string
  readonly #alone: boolean
  #database: Database | undefined
  /** Ends with being put away; everything that waits for a name ends with it. */
  #presence = new AbortController()
  #present = Promise.withResolvers<void>()

  /**
   * @param database none: names are this tab's alone
   * @param memory where positions are without one
   */
  constructor(database: Database | undefined, memory: CursorStore, prefix: string) {
    this.#alone = database === undefined
    if (database?.state !== 'lost') this.#database = database
    this.#memory = memory
    this.#prefix = prefix
    this.#present.resolve()
  }

  /** There is no database any more, and still one holder of a name over all tabs. */
  giveUp(): void {
    this.#database = undefined
  }

  /** The page is put away: names are free for other tabs. */
  leave(): void {
    if (this.#presence.signal.aborted) return
    this.#presence.abort()
    this.#present = Promise.withResolvers()
    for (const letGo of this.#held) letGo()
  }

  comeBack(): void {
    // Also pages that are shown for the first time are told so.
    if (!this.#presence.signal.aborted) return
    this.#presence = new AbortController()
    this.#present.resolve()
  }

  async load(topic: string, name: string): Promise<Cursor | undefined> {
    const own = await this.#memory.load(topic, name)
    if (!this.#database) return own
    const stored = await this.#database
      .read(['cursors'], ({ cursors }) => ask<StoredCursor | undefined>(cursors.get(keyOf(topic, name))))
      .catch((error: unknown) => {
        throw failureOf(error)
      })
    // What could not be saved is known all the same.
    return own !== undefined && (stored === undefined || isPast(own, stored.cursor)) ? own : stored?.cursor
  }

  save(topic: string, name: string, cursor: Cursor): void {
    this.#memory.save(topic, name, cursor)
    this.#unsaved.set(keyOf(topic, name), cursor)
    void this.#saver.run()
  }

  async hold(topic: string, name: string, away?: () => void): Promise<(() => void) | undefined> {
    await this.#present.promise
    if (this.#alone) return this.#memory.hold(topic, name)
    const key = keyOf(topic, name)
    const { signal: gone } = this.#presence
    const waiting = new AbortController()
    const alarm = new Alarm(() => waiting.abort())
    // Who had it before stands in line for as long as it takes.
    if (!this.#left.has(key)) alarm.set(elapsed() + HOLD_MS)
    const signal = AbortSignal.any([gone, waiting.signal])
    const lock = await takeLock(`${this.#prefix}/resume/${key}`, { signal }).catch(() => undefined)
    alarm.clear()
    if (gone.aborted) {
      lock?.()
      return this.hold(topic, name, away)
    }
    if (!lock) return undefined
    this.#left.delete(key)
    const release = (): void => {
      this.#held.delete(letGo)
      // The next holder goes on where this one stopped. A page that is about to be frozen does not wait for what need not be.
      if (this.#unsaved.size === 0) lock()
      else void this.flushed().then(lock)
    }
    const letGo = (): void => {
      this.#left.add(key)
      away?.()
      release()
    }
    this.#held.add(letGo)
    return release
  }

  flushed(): Promise<void> {
    return this.#saver.run()
  }

  async #save(): Promise<void> {
    const newest = [...this.#unsaved]
    if (newest.length === 0) return
    try {
      await this.#database?.write(['cursors'], 'relaxed', async ({ cursors }) => {
        for (const [key, cursor] of newest) {
          const stored = await ask<StoredCursor | undefined>(cursors.get(key))
          if (!stored || !isPast(stored.cursor, cursor)) cursors.put({ v: 1, cursor } satisfies StoredCursor, key)
        }
      })
    } catch {
      // A later one says the same and more; the worst is a message that is handled twice.
    }
    for (const [key, cursor] of newest) if (this.#unsaved.get(key) === cursor) this.#unsaved.delete(key)
  }
}

/** Whether a position is not before another one of the same epoch. */
const isPast = (cursor: Cursor, other: Cursor): boolean =>
  cursor.slice(0, EPOCH_CHARS) === other.slice(0, EPOCH_CHARS) && cursor >= other

/** No topic name holds a line break. */
const keyOf = (topic: string, name: string): string => `${topic}\n${name}`
