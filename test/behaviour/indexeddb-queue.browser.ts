import { expect, test } from 'vitest'
import { Database } from '../../packages/sdk/src/store/indexeddb-database.ts'
import { IndexedDBQueueStore } from '../../packages/sdk/src/store/indexeddb-queue.ts'
import { type QueueStores, queueStoreSuite } from '../../packages/sdk/src/store/queue-store.suite.ts'
import type { QueueStore } from '../../packages/sdk/src/store/queue-store.ts'
import { StoreConflict } from '../../packages/sdk/src/store/store.ts'
import { queueSuite } from './queue.suite.ts'

const database = new Database(`messkit/queues-${crypto.randomUUID()}`, (error) => {
  throw error
})
const queues = new WeakMap<QueueStore, string>()
let queueCount = 0

function storeOf(queue: string, term = 0): QueueStore {
  const store = new IndexedDBQueueStore(database, queue, term)
  queues.set(store, queue)
  return store
}

const stores: QueueStores = {
  make: () => storeOf(`queue/${++queueCount}`),
  // Of the same term, since the suites go on with the first store, too; what a term does is told below.
  reopen: (store) => storeOf(queues.get(store) as string),
}

queueStoreSuite('IndexedDB', stores)
queueSuite('IndexedDB', stores)

const NOTHING = { put: [], move: [], remove: [], facts: [] }

test('a home that was overtaken writes nothing any more, even where nobody has written since', async () => {
  const [old, next] = [storeOf('queue/terms', 1), storeOf('queue/terms', 2)]
  await old.load('0mi8zq4k0abcdefg')
  await next.load('0mi8zq4k1abcdefg')

  await expect(old.commit(NOTHING)).rejects.toBeInstanceOf(StoreConflict)
  await expect(old.load('0mi8zq4k2abcdefg')).rejects.toBeInstanceOf(StoreConflict)
  await next.commit(NOTHING)
})

test('queues whose names begin alike have jobs of their own', async () => {
  const [one, two] = [storeOf('queue/a'), storeOf('queue/a/b')]
  await one.load('0mi8zq4k0abcdefg')
  await two.load('0mi8zq4k1abcdefg')

  await one.commit({ ...NOTHING, put: [{ lane: 5, due: 0, id: 1, head: '[]', body: '1' }], facts: [['state', '{}']] })

  expect((await two.load('')).facts).toEqual([])
  expect(await two.count(0, [5], 9)).toEqual([{ lane: 5, due: 0 }])
  expect(await one.count(0, [5], 9)).toEqual([{ lane: 5, due: 1 }])
})
