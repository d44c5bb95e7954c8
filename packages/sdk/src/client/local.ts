import type { Retention } from '../broker/retention.ts'
import { IndexedDBStore } from '../store/indexeddb.ts'
import type { Database } from '../store/indexeddb-database.ts'
import { MemoryStore } from '../store/memory.ts'
import { Homes } from './homes.ts'

/**
 * Everything that only local topics need: the broker and its stores. It is imported when the first of them is opened, so that a
 * page whose topics live on a server does not load it.
 */
export function homesInMemory(retention: Retention): Homes {
  return new Homes({ retention, term: 0, store: () => new MemoryStore() })
}

export function homesOnDisk(
  database: Database,
  options: { retention: Retention; term: number; onFailed: (topic: string, cause: unknown) => void },
): Homes {
  return new Homes({ ...options, store: (topic) => new IndexedDBStore(database, topic, options.term) })
}
