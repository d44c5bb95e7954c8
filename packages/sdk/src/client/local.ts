import type { Retention } from '../broker/retention.ts'
import { pause } from '../platform.ts'
import { IndexedDBStore } from '../store/indexeddb.ts'
import { ask, type Database } from '../store/indexeddb-database.ts'
import { MemoryStore } from '../store/memory.ts'
import { Homes } from './homes.ts'

/**
 * Everything that only local topics need: the broker and its stores. It is imported when the first of them is opened, so that a
 * page whose topics live on a server does not load it.
 */
export function homesInMemory(retention: Retention): Homes {
  return new Homes({ retention, term: 0, store: () => new MemoryStore() })
}

export interface HomesOnDiskOptions {
  readonly retention: Retention
  readonly onFailed: (topic: string, cause: unknown) => void
  /** The term could not be written; it is tried again. */
  readonly report: (error: unknown) => void
  /** The tab is not to be their home any more. */
  readonly signal: AbortSignal
}

/** How long to wait for room on the disk before trying again. */
const AGAIN_MS = 1_000

/** Homes of a new term, for the tab that holds the lock. */
export async function homesOnDisk(
  database: Database,
  { retention, onFailed, report, signal }: HomesOnDiskOptions,
): Promise<Homes> {
  for (;;) {
    try {
      const term = await nextTerm(database)
      return new Homes({ retention, term, onFailed, store: (topic) => new IndexedDBStore(database, topic, term) })
    } catch (error) {
      if (signal.aborted) throw error
      // The other tabs have no more room than this one, so it keeps the lock and waits for some.
      report(error)
      await pause(AGAIN_MS)
    }
  }
}

/** Higher than that of every tab that was their home before. */
function nextTerm(database: Database): Promise<number> {
  return database.write(['meta'], 'strict', async ({ meta }) => {
    const term = ((await ask<number | undefined>(meta.get('term'))) ?? 0) + 1
    meta.put(term, 'term')
    return term
  })
}
