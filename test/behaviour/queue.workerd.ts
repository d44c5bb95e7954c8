import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test, vi } from 'vitest'
import { SqliteQueueStore } from '../../packages/edge/src/store/sqlite-queue.ts'
import { type QueueStores, queueStoreSuite } from '../../packages/sdk/src/store/queue-store.suite.ts'
import type { QueueStore } from '../../packages/sdk/src/store/queue-store.ts'
import { leaseOf } from '../support/queue-client.ts'
import { queueSuite } from './queue.suite.ts'
import { QueueStage } from './queue-stage.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const { TOPICS } = env as unknown as { TOPICS: DurableObjectNamespace }
const homes = new WeakMap<QueueStore, DurableObjectStorage>()
let storage: DurableObjectStorage
let objectCount = 0
/** Rows written since a test set it to 0, by the counter that the platform bills by. */
let rowsWritten = 0

/** The object's storage, with every statement counted. */
function counted(home: DurableObjectStorage): Pick<DurableObjectStorage, 'sql' | 'transactionSync' | 'sync'> {
  const exec: SqlStorage['exec'] = (...values) => {
    const cursor = home.sql.exec<never>(...values)
    // A statement that writes has run when `exec` returns; the others write nothing.
    rowsWritten += cursor.rowsWritten
    return cursor
  }
  return { sql: { exec } as SqlStorage, transactionSync: (work) => home.transactionSync(work), sync: () => home.sync() }
}

function storeIn(home: DurableObjectStorage): QueueStore {
  const store = new SqliteQueueStore(counted(home))
  homes.set(store, home)
  return store
}

const stores: QueueStores = {
  make: () => storeIn(storage),
  reopen: (store) => storeIn(homes.get(store) as DurableObjectStorage),
  // Each test has an object of its own, and so a database of its own.
  within: (run) =>
    runInDurableObject(TOPICS.getByName(`topic:main:queues/${++objectCount}`), (_, state) => {
      storage = state.storage
      return run()
    }),
}

queueStoreSuite('SQLite in a Durable Object', stores)
queueSuite('SQLite in a Durable Object', stores)

const within = stores.within as NonNullable<QueueStores['within']>

test('costs 2.3 rows a job at most, from end to end with leases of 10', () =>
  within(async () => {
    const stage = await QueueStage.open(stores)
    const client = await stage.connect()
    const count = 500
    rowsWritten = 0

    for (let n = 1; n <= count; n++) await client.enqueue([n])
    await client.work(10)
    for (let done = 0; done < count; done += 10) {
      const taken = (await client.gets(done + 10)).slice(done)
      await client.settle({ ack: taken.map(leaseOf) })
    }

    expect(rowsWritten / count).toBeLessThanOrEqual(2.3)
    // Not so few that something was not counted.
    expect(rowsWritten / count).toBeGreaterThan(2)
  }))
