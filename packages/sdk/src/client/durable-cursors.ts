import { Alarm, elapsed, takeLock } from '../platform.ts'
import type { Cursor } from '../protocol/cursor.ts'
import { ask, type Database } from '../store/indexeddb-database.ts'
import { type CursorStore, keyOf, MemoryCursors } from './cursors.ts'
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
  readonly #known = Promise.withResolvers<void>()
  readonly #memory = new MemoryCursors()
  readonly #unsaved = new Map<string, Cursor>()
  readonly #saver = new Pump(() => this.#save())
  #database: Database | undefined
  #prefix = ''

  open(database: Database, prefix: string): void {
    this.#database = database
    this.#prefix = prefix
    this.#known.resolve()
  }

  /** There is no database, or none any more. */
  giveUp(): void {
    this.#database = undefined
    this.#known.resolve()
  }

  async load(topic: string, name: string): Promise<Cursor | undefined> {
    await this.#known.promise
    if (!this.#database) return this.#memory.load(topic, name)
    const stored = await this.#database.read(['cursors'], ({ cursors }) =>
      ask<StoredCursor | undefined>(cursors.get(keyOf(topic, name))),
    )
    return stored?.cursor
  }

  save(topic: string, name: string, cursor: Cursor): void {
    this.#memory.save(topic, name, cursor)
    this.#unsaved.set(keyOf(topic, name), cursor)
    void this.#saver.run()
  }

  async hold(topic: string, name: string): Promise<(() => void) | undefined> {
    await this.#known.promise
    if (!this.#database) return this.#memory.hold(topic, name)
    const waiting = new AbortController()
    const alarm = new Alarm(() => waiting.abort())
    alarm.set(elapsed() + HOLD_MS)
    const release = await takeLock(`${this.#prefix}/resume/${keyOf(topic, name)}`, waiting).catch(() => undefined)
    alarm.clear()
    // The next holder goes on where this one stopped.
    return release && (() => void this.flushed().then(release))
  }

  flushed(): Promise<void> {
    return this.#saver.run()
  }

  async #save(): Promise<void> {
    await this.#known.promise
    const newest = [...this.#unsaved]
    if (newest.length === 0 || !this.#database) return
    this.#unsaved.clear()
    try {
      await this.#database.write(['cursors'], 'relaxed', async ({ cursors }) => {
        for (const [key, cursor] of newest) {
          const stored = await ask<StoredCursor | undefined>(cursors.get(key))
          const behind =
            stored?.cursor.slice(0, EPOCH_CHARS) === cursor.slice(0, EPOCH_CHARS) && stored.cursor >= cursor
          if (!behind) cursors.put({ v: 1, cursor } satisfies StoredCursor, key)
        }
      })
    } catch {
      // A later one says the same and more; the worst is a message that is handled twice.
    }
  }
}
