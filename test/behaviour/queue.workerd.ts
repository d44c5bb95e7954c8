import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test, vi } from 'vitest'
import { ROW_LIMIT_BYTES } from '../../packages/edge/src/store/layout.ts'
import { SqliteQueueStore } from '../../packages/edge/src/store/sqlite-queue.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { MemoryQueueStore } from '../../packages/sdk/src/store/memory-queue.ts'
import { type QueueStores, queueStoreSuite } from '../../packages/sdk/src/store/queue-store.suite.ts'
import type { JobRow, Place, QueueStore } from '../../packages/sdk/src/store/queue-store.ts'
import { StoreConflict } from '../../packages/sdk/src/store/store.ts'
import { Random } from '../sim/random.ts'
import { leaseOf } from '../support/queue-client.ts'
import { claimsSuite } from './claims.suite.ts'
import { queueSuite } from './queue.suite.ts'
import { QueueStage } from './queue-stage.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const { TOPICS } = env as unknown as { TOPICS: DurableObjectNamespace }
const homes = new WeakMap<QueueStore, DurableObjectStorage>()
let storage: DurableObjectStorage
/** Drawn anew for each run, and named where something fails. */
const FIRST_SEED = Math.floor(Math.random() * 2 ** 31)
let objectCount = 0
/** Rows written since a test set it to 0, by the counter that the platform bills by. */
let rowsWritten = 0
/** Statements, where a test wants to know what they have read: that is known when they were run to their end. */
let cursors: SqlStorageCursor<never>[] | undefined

/** The object's storage, with every statement counted. */
function counted(home: DurableObjectStorage): Pick<DurableObjectStorage, 'sql' | 'transactionSync' | 'sync'> {
  const exec: SqlStorage['exec'] = (...values) => {
    const cursor = home.sql.exec<never>(...values)
    // A statement that writes has run when `exec` returns; the others write nothing.
    rowsWritten += cursor.rowsWritten
    cursors?.push(cursor)
    return cursor
  }
  return { sql: { exec } as SqlStorage, transactionSync: (work) => home.transactionSync(work), sync: () => home.sync() }
}

function storeIn(home: DurableObjectStorage): SqliteQueueStore {
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
claimsSuite('SQLite in a Durable Object', stores)

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

test('costs a row for many jobs that come and go together', () =>
  within(async () => {
    const stage = await QueueStage.open(stores)
    const client = await stage.connect()
    rowsWritten = 0

    for (let n = 0; n < 10; n++) await client.enqueue(Array.from({ length: 100 }, (_, i) => n * 100 + i))
    await client.work(50)
    for (let done = 0; done < 1_000; done += 50) {
      const taken = (await client.gets(done + 50)).slice(done)
      await client.settle({ ack: taken.map(leaseOf) })
    }

    // One row for each frame, one for each claim, and one or two for each end of fifty.
    expect(rowsWritten).toBeLessThanOrEqual(80)
    expect(rowsWritten).toBeGreaterThan(40)
    await stage.restart()
    expect(await (await stage.connect()).counts()).toMatchObject({ ready: 0, active: 0 })
  }))

test('puts no more jobs together than fit in a row, however much is asked of each', () =>
  within(async () => {
    const stage = await QueueStage.open(stores)
    const client = await stage.connect()
    // Characters that take six as JSON.
    const nonRetryable = Array.from({ length: LIMITS.nonRetryableErrors }, () => '\0'.repeat(LIMITS.errorNameChars))

    await client.enqueue(
      Array.from({ length: 300 }, () => '€'.repeat(700)),
      { nonRetryable },
    )

    const bytes = 'select max(octet_length(heads) + octet_length(bodies)) as bytes from segment'
    expect(storage.sql.exec(bytes).one().bytes).toBeLessThan(ROW_LIMIT_BYTES)
    await stage.restart()
    const back = await stage.connect()
    await back.work(300)
    expect((await back.gets(300)).map(({ id }) => id)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1))
  }))

test('counts without reading what waits', () =>
  within(async () => {
    const stage = await QueueStage.open(stores)
    const client = await stage.connect()
    for (let n = 0; n < 20; n++) await client.enqueue(Array.from({ length: 100 }, (_, i) => n * 100 + i))
    await client.enqueue(['later'], { delayMs: 60_000 })
    const asked: SqlStorageCursor<never>[] = []
    cursors = asked

    expect(await client.counts()).toMatchObject({ ready: 2_000, scheduled: 1 })

    cursors = undefined
    expect(asked.length).toBeGreaterThan(0)
    expect(asked.reduce((sum, { rowsRead }) => sum + rowsRead, 0)).toBeLessThan(10)
  }))

const BODY_CHARS = 3_002

/** As much as fits; or a little less, where what comes next might be a payload of the greatest size. */
function expectPage(
  page: readonly JobRow[],
  most: readonly JobRow[],
  { maxBytes, seed }: { maxBytes: number; seed: number },
): void {
  expect(page, `seed ${seed}`).toEqual(most.slice(0, page.length))
  const chars = page.reduce((sum, { body }) => sum + body.length, 0)
  const whole = page.length === most.length || (page.length > 0 && chars + BODY_CHARS > maxBytes)
  expect(whole, `seed ${seed}: ${page.length} of ${most.length}`).toBe(true)
}

/** One store that puts jobs together against one that does not, through the same random life. */
function compareStores(seed: number): void {
  const random = new Random(seed)
  let store = storeIn(storage)
  const model = new MemoryQueueStore()
  store.load('epoch')
  model.load('epoch')
  const places = new Map<number, Place>()
  let next = 1
  for (let step = 0; step < 60; step++) {
    const put: JobRow[] = []
    for (let runs = random.between(0, 3); runs > 0; runs--) {
      // In lanes of jobs that are due at once nothing else lies.
      const [lane, due] = random.chance(0.8) ? [random.pick([4, 5]), 0] : [15, random.between(0, 50)]
      const size = random.pick([1, 10, 3_000])
      for (let count = random.pick([1, 2, 3, 5, 40, 300]); count > 0; count--, next += random.chance(0.02) ? 2 : 1)
        put.push({
          lane,
          due,
          id: next,
          head: `["€",${next}]`,
          body: JSON.stringify(`${next}`.padEnd(random.between(1, size), 'x')),
        })
    }
    const known = [...places.values()]
    const leaving = known.filter(() => random.chance(random.pick([0, 0.01, 0.3, 1])))
    const moved = leaving.filter(() => random.chance(0.2))
    const move = moved.map((from) => {
      const [lane, due] = random.pick([
        [from.lane, from.due],
        [4, 0],
        [15, random.between(0, 90)],
        [30, random.between(0, 90)],
      ] as const)
      const to = { lane, due, id: from.id }
      return { from, to, head: `[${step}]` }
    })
    const remove = leaving.filter((place) => !moved.includes(place))
    const commit = { put, move, remove, facts: [] }
    if (random.chance(0.1)) {
      const missing = { lane: 4, due: 0, id: next + 1 }
      expect(() => store.commit({ ...commit, remove: [...remove, missing] }), `seed ${seed}`).toThrow(StoreConflict)
    }
    store.commit(commit)
    model.commit(commit)
    for (const { id, lane, due } of put) places.set(id, { id, lane, due })
    for (const { id } of remove) places.delete(id)
    for (const { to } of move) places.set(to.id, to)
    if (random.chance(0.2)) {
      store = storeIn(storage)
      store.load('')
    }

    const after = random.chance(0.3) ? undefined : { due: random.pick([0, 0, 20]), id: random.between(0, next) }
    const bounds = { maxJobs: random.pick([1, 7, 100, 1e6]), maxBytes: random.pick([0, 50, 5_000, 1e9]) }
    for (const lane of [4, 5, 15, 30])
      expectPage(store.page(lane, after, bounds), model.page(lane, after, bounds), { ...bounds, seed })
    const some = [...places.values()].filter(() => random.chance(0.05))
    const wrong = some.map((place) => ({ ...place, lane: 9 }))
    const ids = [...some.map(({ id }) => id), next + 5]
    const byId = (rows: readonly JobRow[]) => rows.toSorted((a, b) => a.id - b.id)
    expect(byId(store.get([...some, ...wrong])), `seed ${seed}`).toEqual(byId(model.get([...some, ...wrong])))
    expect(byId(store.find(ids, 10)), `seed ${seed}`).toEqual(byId(model.find(ids)))
    const from = random.between(1, next)
    const atOnce = (rows: readonly JobRow[]) => byId(rows).filter(({ due }) => due === 0)
    expect(atOnce(store.since(from, 10)), `seed ${seed}`).toEqual(atOnce(model.since(from, 10)))
    const most = random.pick([3, 1e9])
    expect(store.count(25, [4, 5, 15, 30], most), `seed ${seed}`).toEqual(model.count(25, [4, 5, 15, 30], most))
  }
}

test.each(Array.from({ length: 20 }, (_, run) => FIRST_SEED + run))(
  'jobs that lie together are to a queue as if each lay by itself: seed %i',
  (seed) => within(async () => compareStores(seed)),
)
