import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { databasesFor } from '../../packages/sdk/src/platform.ts'
import { ask, Database } from '../../packages/sdk/src/store/indexeddb-database.ts'

let count = 0

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

test('a handle that the browser has killed is replaced, and the work is done once', async () => {
  const { database, lost } = open()
  await put(database, 'a', 1)
  failTransactions(2)

  await put(database, 'b', 2)

  expect(await get(database, 'b')).toBe(2)
  expect(lost).not.toHaveBeenCalled()
})

test('a transaction that the browser has given up, since its tab stood still in the middle, is tried again', async () => {
  const { database, lost } = open()
  // What Chromium says to who has kept others waiting for a minute.
  failTransactions(1, 'TimeoutError')

  await put(database, 'a', 1)

  expect(await get(database, 'a')).toBe(1)
  expect(lost).not.toHaveBeenCalled()
})

test('work that awaits something else than its transaction is told, and never taken for done', async () => {
  const { database } = open()

  const work = database.write(['meta'], 'strict', async ({ meta }) => {
    await ask(meta.put(1, 'first'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    return 'done'
  })

  await expect(work).rejects.toThrow('Too early')
})

test('the first request of a transaction follows in the same breath', async () => {
  const { database } = open()
  await put(database, 'a', 1)
  const late: string[] = []
  const { transaction } = IDBDatabase.prototype
  const { get } = IDBObjectStore.prototype
  let fresh = false
  // Safari ends a transaction to which nothing was said before the next microtask.
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...args) {
    fresh = true
    queueMicrotask(() => {
      fresh = false
    })
    return transaction.apply(this, args)
  })
  vi.spyOn(IDBObjectStore.prototype, 'get').mockImplementation(function (this: IDBObjectStore, key) {
    if (!fresh) late.push(String(key))
    return get.call(this, key)
  })

  await database.read(['meta'], ({ meta }) => ask(meta.get('a')))
  await database.write(['meta'], 'strict', ({ meta }) => ask(meta.get('a')))

  expect(late).toEqual([])
})

test('work that is tried again is told so', async () => {
  const { database } = open()
  const seen: boolean[] = []
  let failing = true

  await database.write(['meta'], 'strict', async ({ meta }, again) => {
    seen.push(again)
    meta.put('here', 'a')
    if (failing) meta.transaction.abort() // as when the browser takes the handle away in the middle
    failing = false
  })

  expect(seen).toEqual([false, true])
  expect(await get(database, 'a')).toBe('here')
})

test('a database that fails three times is lost, says so once, and stays lost', async () => {
  const { database, lost } = open()
  failTransactions(Number.POSITIVE_INFINITY)

  await expect(put(database, 'a', 1)).rejects.toThrow('killed')
  await expect(put(database, 'a', 1)).rejects.toThrow('killed')

  expect(lost).toHaveBeenCalledTimes(1)
  expect(database.state).toBe('lost')
})

test('an open that never answers is given up', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  vi.spyOn(IDBFactory.prototype, 'open').mockReturnValue(new EventTarget() as IDBOpenDBRequest)
  const { database, lost } = open()

  const writing = expect(put(database, 'a', 1)).rejects.toThrow('in time')
  await vi.advanceTimersByTimeAsync(6_000)

  await writing
  expect(lost).toHaveBeenCalledTimes(1)
})

test('a tab that stood still while its database was opened has it all the same', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  const { database, lost } = open()

  const writing = put(database, 'a', 1)
  vi.advanceTimersToNextTimer() // which is due when it goes on, before it hears anything

  await writing
  expect(lost).not.toHaveBeenCalled()
})

test('nothing of a transaction is written whose work fails', async () => {
  const { database, lost } = open()

  const writing = database.write(['meta'], 'strict', async ({ meta }) => {
    meta.put(1, 'a')
    throw new RangeError('changed its mind')
  })

  await expect(writing).rejects.toThrow('changed its mind')
  expect(await get(database, 'a')).toBeUndefined()
  expect(lost).not.toHaveBeenCalled()
})

test('stands in nobody’s way who deletes or upgrades it, and is opened again when it is needed', async () => {
  const { database, name } = open()
  await put(database, 'a', 1)

  const request = (await databasesFor(name)).deleteDatabase(name)
  const blocked = vi.fn()
  request.onblocked = blocked
  await ask(request)

  expect(blocked).not.toHaveBeenCalled()
  expect(await get(database, 'a')).toBeUndefined()
})

test('a database that a newer build has upgraded is used as it is', async () => {
  const { database, name } = open()
  await put(database, 'a', 1)
  const newer = (await databasesFor(name)).open(name, 7)
  newer.onupgradeneeded = () => newer.result.createObjectStore('later')
  const later = await ask(newer)
  later.close()

  expect(await get(database, 'a')).toBe(1)
})

test('once closed it takes nothing more', async () => {
  const { database, lost } = open()
  await put(database, 'a', 1)

  database.close()

  await expect(put(database, 'a', 2)).rejects.toThrow('Closed')
  expect(lost).not.toHaveBeenCalled()
})

function open() {
  const name = `messkit/database-${++count}-${crypto.randomUUID()}`
  const lost = vi.fn()
  const database = new Database(name, lost)
  onTestFinished(() => database.close())
  return { name, lost, database }
}

function failTransactions(times: number, name = 'InvalidStateError'): void {
  const original = IDBDatabase.prototype.transaction
  let left = times
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...args) {
    if (left-- > 0) throw new DOMException('The handle was killed', name)
    return original.apply(this, args)
  })
}

const put = (database: Database, key: string, value: unknown): Promise<void> =>
  database.write(['meta'], 'strict', async ({ meta }) => void meta.put(value, key))

const get = (database: Database, key: string): Promise<unknown> =>
  database.read(['meta'], ({ meta }) => ask(meta.get(key)))
