/**
 * Every place in which an origin may have databases: its own, and one for each of its storage buckets. Needs nothing from outside, so that it
 * can be sent to a page as text.
 */
export async function factories(): Promise<IDBFactory[]> {
  interface Buckets {
    keys(): Promise<string[]>
    open(name: string): Promise<{ indexedDB: IDBFactory }>
  }
  const { storageBuckets } = navigator as { storageBuckets?: Buckets }
  if (!storageBuckets) return [indexedDB]
  const buckets = await Promise.all((await storageBuckets.keys()).map((name) => storageBuckets.open(name)))
  return [indexedDB, ...buckets.map((bucket) => bucket.indexedDB)]
}

/** How many databases an origin has. */
export async function databaseCount(): Promise<number> {
  const lists = await Promise.all((await factories()).map((factory) => factory.databases()))
  return lists.flat().length
}
