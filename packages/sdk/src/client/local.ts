import type { Retention } from '../broker/retention.ts'
import { IndexedDBStore } from '../store/indexeddb.ts'
import type { Database } from '../store/indexeddb-database.ts'
import { MemoryStore } from '../store/memory.ts'
import { MessError } from './errors.ts'
import { Homes } from './homes.ts'

/**
 * Everything that only local topics need: the broker and its stores. It is imported when the first of them is opened, so that a
 * page whose topics live on a server does not load it.
 */
export function homesInMemory(retention: Retention): Homes {
  return new Homes({
    retention,
    term: 0,
    store: () => new MemoryStore(),
    queues: async () => (await import('./queue-homes.ts')).queuesInMemory(),
  })
}

export function homesOnDisk(
  database: Database,
  { retention, term, report }: { retention: Retention; term: number; report: (error: MessError) => void },
): Homes {
  const onFailed = (name: string, cause: unknown): void =>
    report(new MessError('commit_failed', `The store of ${name} failed`, { retryable: true, cause }))
  return new Homes({
    retention,
    term,
    store: (topic) => new IndexedDBStore(database, topic, term),
    queues: async () => (await import('./queue-homes.ts')).queuesOnDisk(database, { term, onFailed }),
    onFailed,
  })
}
