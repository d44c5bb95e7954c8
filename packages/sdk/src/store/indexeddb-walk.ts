import { ask } from './indexeddb-database.ts'

/** Entries one after the other, until `take` has enough. */
export async function walk(
  store: IDBObjectStore,
  { range, direction }: { range: IDBKeyRange; direction: IDBCursorDirection },
  take: (value: unknown) => boolean,
): Promise<void> {
  const request = store.openCursor(range, direction)
  for (let cursor = await ask(request); cursor && take(cursor.value); cursor = await ask(request)) cursor.continue()
}
