import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { vi } from 'vitest'
import { SqliteStore } from '../../packages/edge/src/store/sqlite.ts'
import { type Stores, storeSuite } from '../../packages/sdk/src/store/store.suite.ts'
import type { LogStore } from '../../packages/sdk/src/store/store.ts'
import { homeSuite } from './home.suite.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const { TOPICS } = env as unknown as { TOPICS: DurableObjectNamespace }
const homes = new WeakMap<LogStore, DurableObjectStorage>()
let storage: DurableObjectStorage
let objectCount = 0

function storeIn(home: DurableObjectStorage): LogStore {
  const store = new SqliteStore(home)
  homes.set(store, home)
  return store
}

const stores: Stores = {
  make: () => storeIn(storage),
  reopen: (store) => storeIn(homes.get(store) as DurableObjectStorage),
  // Each test has an object of its own, and so a database of its own.
  within: (test) =>
    runInDurableObject(TOPICS.getByName(`topic:main:suite/${++objectCount}`), (_, state) => {
      storage = state.storage
      return test()
    }),
}

storeSuite('SQLite in a Durable Object', stores)
homeSuite('SQLite in a Durable Object', stores)
