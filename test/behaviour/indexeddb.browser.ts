import { expect, test } from 'vitest'
import { IndexedDBStore } from '../../packages/sdk/src/store/indexeddb.ts'
import { Database } from '../../packages/sdk/src/store/indexeddb-database.ts'
import { type Stores, storeSuite } from '../../packages/sdk/src/store/store.suite.ts'
import { type LogStore, StoreConflict } from '../../packages/sdk/src/store/store.ts'
import { homeSuite } from './home.suite.ts'

const database = new Database(`messkit/logs-${crypto.randomUUID()}`, (error) => {
  throw error
})
const topics = new WeakMap<LogStore, string>()
let topicCount = 0

function storeOf(topic: string, term = 0): LogStore {
  const store = new IndexedDBStore(database, topic, term)
  topics.set(store, topic)
  return store
}

const stores: Stores = {
  make: () => storeOf(`topic/${++topicCount}`),
  // Of the same term, since the suites go on with the first store, too; what a term does is told below.
  reopen: (store) => storeOf(topics.get(store) as string),
}

storeSuite('IndexedDB', stores)
homeSuite('IndexedDB', stores)

test('a home that was overtaken writes nothing any more, even where nobody has written since', async () => {
  const [old, next] = [storeOf('topic/terms', 1), storeOf('topic/terms', 2)]
  await old.load('0mi8zq4k0abcdefg')
  await next.load('0mi8zq4k1abcdefg')

  await expect(old.commit({ expect: { head: 0, term: 1 }, append: [] })).rejects.toBeInstanceOf(StoreConflict)
  await expect(old.load('0mi8zq4k2abcdefg')).rejects.toBeInstanceOf(StoreConflict)
  await next.commit({ expect: { head: 0, term: 2 }, append: [] })
})

test('topics whose names begin alike are logs of their own', async () => {
  const row = { first: 0, next: 1, at: 1, start: 0, size: 10, runs: '["p",1,1,1]', users: '[""]', body: '1' }
  const [one, two] = [storeOf('topic/a'), storeOf('topic/a/b')]
  await one.load('0mi8zq4k0abcdefg')
  await two.load('0mi8zq4k1abcdefg')

  await one.commit({ expect: { head: 0, term: 0 }, append: [row] })

  expect((await two.load('')).heads).toEqual([])
  expect(await two.read(0, 1_000)).toEqual([])
  expect(await one.read(0, 1_000)).toEqual([row])
})
