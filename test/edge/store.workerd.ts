import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { type Chunk, type Commit, StoreConflict, StoreFull } from '@messkit/sdk/store'
import { expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import { ROW_LIMIT_BYTES } from '../../packages/edge/src/store/layout.ts'
import { SqliteStore } from '../../packages/edge/src/store/sqlite.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

/** What the SQLite of an object alone promises, beyond the contract of all stores. */
const { TOPICS } = env as unknown as Env
const EPOCH = 'epoch00000000000'
let objects = 0

/** An object's storage that nobody else uses. */
function inStorage<T>(work: (storage: DurableObjectStorage) => T | Promise<T>): Promise<T> {
  const stub = TOPICS.getByName(`topic:main:store/${++objects}`)
  return runInDurableObject(stub, (_, { storage }) => work(storage))
}

function chunk(first: number, count = 1, body = '1'): Chunk {
  const lines = Array(count).fill(body).join(',\n')
  const size = lines.length + 64
  return { first, next: first + count, at: 1_000 + first, start: first * 100, size, runs: '', users: '[]', body: lines }
}

const expecting = (head: number) => ({ expect: { head, term: 0 } })
const append = (head: number, ...chunks: Chunk[]): Commit => ({ ...expecting(head), append: chunks })

test('writes the name of the log once and keeps it', async () => {
  await inStorage((storage) => {
    expect(new SqliteStore(storage).load(EPOCH).epoch).toBe(EPOCH)
    expect(new SqliteStore(storage).load('another000000000').epoch).toBe(EPOCH)
  })
})

test('writes nothing when an existing log is loaded', async () => {
  await inStorage((storage) => {
    new SqliteStore(storage).load(EPOCH)
    const written = rowsOf(storage, 'rowsWritten')

    new SqliteStore(storage).load(EPOCH)

    expect(written()).toBe(0)
  })
})

test('refuses a layout that it does not know, and changes nothing', async () => {
  await inStorage((storage) => {
    new SqliteStore(storage).load(EPOCH)
    storage.sql.exec('update fact set text = ?', JSON.stringify({ epoch: EPOCH, layout: 99 }))

    expect(() => new SqliteStore(storage).load(EPOCH)).toThrow('layout 99')
  })
})

test('writes one row for a commit of one, be it new or longer', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    const written = rowsOf(storage, 'rowsWritten')

    store.commit(append(0, chunk(0)))
    expect(written()).toBe(1)
    store.commit({ ...expecting(1), replaceTail: chunk(0, 2), append: [] })
    expect(written()).toBe(2)
    expect(store.read(0, 1e6)).toMatchObject([{ first: 0, next: 2, body: '1,\n1' }])
  })
})

test('writes nothing of a commit that was decided on another head', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    store.commit(append(0, chunk(0, 3)))

    expect(() => store.commit({ ...append(2, chunk(2)), checkpoint: [[0, 'x']] })).toThrow(StoreConflict)

    expect(store.load(EPOCH)).toMatchObject({ checkpoint: [], heads: [{ first: 0, next: 3 }] })
  })
})

test('writes nothing of a commit that extends a row which is gone', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    store.commit(append(0, chunk(0), chunk(1)))
    store.commit({ ...append(2), trimBelow: 2, checkpoint: [[-1, '{}']] })

    expect(() => store.commit({ ...expecting(2), replaceTail: chunk(1, 2), append: [chunk(3)] })).toThrow(StoreConflict)

    expect(store.read(0, 1e6)).toEqual([])
  })
})

test('never tries a row that the platform would refuse', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    const tried = vi.spyOn(storage.sql, 'exec')

    expect(() => store.commit(append(0, chunk(0, 1, 'ä'.repeat(1_000_000))))).toThrow(RangeError)

    expect(tried.mock.calls.filter(([sql]) => sql.startsWith('insert'))).toEqual([])
  })
})

test('keeps a checkpoint of any length, in rows that fit and hold whole characters', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    const index = JSON.stringify({ next: 0, segments: [] })

    for (const long of ['x'.repeat(1_500_000), '🚀'.repeat(750_000), `x${'🚀'.repeat(750_000)}`, 'short', '']) {
      store.commit({
        ...append(0),
        checkpoint: [
          [-1, index],
          [7, long],
        ],
      })

      // Not `toEqual`: nobody wants to read the difference.
      expect(new Map(store.load(EPOCH).checkpoint).get(7) === long).toBe(true)
      const { longest } = storage.sql.exec('select max(length(cast(text as blob))) as longest from fact').one()
      expect(longest).toBeLessThan(ROW_LIMIT_BYTES)
    }
  })
})

test('hands over the rows behind the checkpoint without their payloads, and reads no others', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    for (let first = 0; first < 1_000; first += 2) store.commit(append(first, chunk(first, 2)))
    store.commit({ ...append(1_000), checkpoint: [[-1, JSON.stringify({ next: 995, segments: [] })]] })
    const read = rowsOf(storage, 'rowsRead')

    const { heads, tail } = store.load(EPOCH)

    expect(heads.map(({ first }) => first)).toEqual([994, 996, 998])
    expect(heads[0]).not.toHaveProperty('body')
    expect(tail).toMatchObject({ first: 998, body: '1,\n1' })
    expect(read()).toBeLessThan(10)
  })
})

test('finds a page in the middle of many rows, and reads no more than it', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    for (let first = 0; first < 1_000; first += 2) store.commit(append(first, chunk(first, 2)))
    const read = rowsOf(storage, 'rowsRead')
    const { size } = chunk(0, 2)

    expect(store.read(501, 3 * size).map(({ first }) => first)).toEqual([500, 502, 504])
    expect(store.read(501, 1).map(({ first }) => first)).toEqual([500])
    expect(store.readBefore(501, 3 * size).map(({ first }) => first)).toEqual([496, 498, 500])
    expect(store.readBefore(500, 1).map(({ first }) => first)).toEqual([498])
    expect(store.read(1_000, 1e6)).toEqual([])
    expect(store.readBefore(0, 1e6)).toEqual([])
    expect(read()).toBeLessThan(100)
  })
})

test('leaves no statement open, with which SQLite could not tidy up', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    for (let first = 0; first < 100; first++) store.commit(append(first, chunk(first)))
    store.load(EPOCH)
    store.read(10, 500)
    store.readBefore(90, 500)

    // While a statement reads it, a table is locked.
    expect(() => storage.sql.exec('drop table chunk; drop table fact')).not.toThrow()
  })
})

test('deletes the rows below, and reads no others for it', async () => {
  await inStorage((storage) => {
    const store = new SqliteStore(storage)
    store.load(EPOCH)
    for (let first = 0; first < 1_000; first += 2) store.commit(append(first, chunk(first, 2)))
    const read = rowsOf(storage, 'rowsRead')
    const written = rowsOf(storage, 'rowsWritten')

    store.commit({ ...append(1_000), trimBelow: 20 })
    store.commit({ ...append(1_000), trimBelow: 23 })

    expect(store.read(0, 1).map(({ first }) => first)).toEqual([22])
    expect(written()).toBe(11)
    expect(read()).toBeLessThan(40)
  })
})

test('says of a full device that it is full, at the commit or after it', async () => {
  const full = new Error('database or disk is full: SQLITE_FULL')
  await inStorage(async (storage) => {
    const store = new SqliteStore({
      sql: storage.sql,
      transactionSync: () => {
        throw full
      },
      sync: () => Promise.reject(full),
    })

    expect(() => store.commit(append(0, chunk(0)))).toThrow(StoreFull)
    await expect(store.durable()).rejects.toThrow(StoreFull)
    await store.flushed()
  })
})

/** Sums a counter of all statements from now on. */
function rowsOf(storage: DurableObjectStorage, counter: 'rowsRead' | 'rowsWritten'): () => number {
  const spy = vi.spyOn(storage.sql, 'exec')
  const before = spy.mock.results.length
  return () => spy.mock.results.slice(before).reduce((sum, { value }) => sum + value[counter], 0)
}
