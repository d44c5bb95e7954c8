import { expect, onTestFinished, test, vi } from 'vitest'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { Database } from '../../packages/sdk/src/store/indexeddb-database.ts'
import { type Addition, IndexedDBOutbox } from '../../packages/sdk/src/store/indexeddb-outbox.ts'
import type { Row } from '../../packages/sdk/src/store/indexeddb-rows.ts'
import { StoreConflict } from '../../packages/sdk/src/store/store.ts'

const TOPIC = 'rooms/1'

test('gives sequences in the order of transactions, whichever tab writes, and one row to each', async () => {
  const { outbox, again } = await open()
  const other = await again()

  const [one] = await outbox.add([lines('one', 1, 3)])
  const [two] = await other.add([lines('two', 1, 2)])
  const [three] = await outbox.add([lines('one', 4, 1)])

  expect([one, two, three].map((row) => [row?.first, row?.count])).toEqual([
    [1, 3],
    [4, 2],
    [6, 1],
  ])
  expect(new Set([one, two, three].map((row) => row?.publisher)).size).toBe(1)
  expect((await outbox.read(TOPIC)).rows).toEqual([one, two, three])
  expect(other.owns(one?.publisher as string)).toBe(true)
})

test('topics of one transaction have counts and publishers of their own', async () => {
  const { outbox } = await open()

  const rows = await outbox.add([lines('one', 1, 2), { ...lines('two', 1, 1), topic: 'rooms/2' }])

  expect(rows.map(({ topic, first }) => [topic, first])).toEqual([
    [TOPIC, 1],
    ['rooms/2', 1],
  ])
  expect(rows[0]?.publisher).not.toBe(rows[1]?.publisher)
})

test('a transaction of very many messages makes several rows', async () => {
  const { outbox } = await open()
  const count = LIMITS.messagesPerFrame * 2 + 1

  const rows = await outbox.add([lines('one', 1, count)])

  expect(rows.map((row) => row.count)).toEqual([LIMITS.messagesPerFrame, LIMITS.messagesPerFrame, 1])
  expect(rows.map((row) => [row.first, row.number])).toEqual([
    [1, 1],
    [1_001, 1_001],
    [2_001, 2_001],
  ])
})

test('a write whose answer was lost and that is tried again stores nothing twice', async () => {
  const { database, outbox } = await open({ twice: true })
  expect(database).toBeDefined()

  const rows = await outbox.add([lines('one', 1, 3)])

  expect(rows).toEqual([])
  expect((await outbox.read(TOPIC)).rows.map((row) => row.count)).toEqual([3])
})

test('trying again what was set aside, with the answer lost, still says where it stands', async () => {
  const { outbox, again } = await open({ twice: true })
  const plain = await again()
  const [row] = await plain.add([lines('one', 1, 1)])
  await plain.setAside(TOPIC, row?.publisher ?? '', [{ first: 1, count: 1, code: 'bad_payload', message: 'no' }], false)

  expect(await outbox.retry('one-1', 'again')).toMatchObject([{ topic: TOPIC, origin: 'again', number: 1, first: 2 }])
})

test('reads on from a sequence, past a page of rows', async () => {
  const { outbox } = await open()
  for (let number = 1; number <= 250; number++) await outbox.add([lines('one', number, 1)])

  expect((await outbox.read(TOPIC, 40)).rows.map((row) => row.first)).toEqual(numbers(40, 250))
  expect((await outbox.read()).rows.map((row) => row.first)).toEqual(numbers(1, 250))
})

test('settling deletes whole rows, moves the count forward only, and keeps the newest acks', async () => {
  const { outbox } = await open()
  const [row] = await outbox.add([lines('one', 1, 3)])
  await outbox.add([lines('one', 4, 3)])
  const { publisher } = row as Row
  const acks = numbers(1, LIMITS.outboxAcks + 5).map((number) => ack('one', number, number + 100))

  await outbox.settle([{ topic: TOPIC, publisher, settled: 5, below: 4, acks }])
  await outbox.settle([{ topic: TOPIC, publisher, settled: 3, below: 1, acks: [] }])
  await outbox.settle([{ topic: TOPIC, publisher: 'of another outbox', settled: 9, below: 9, acks: [] }])

  const { counters, rows } = await outbox.read(TOPIC)
  expect(counters[0]).toMatchObject({ settled: 5, next: 7 })
  expect(rows.map(({ first }) => first)).toEqual([4])
  const [forgotten, kept] = await outbox.find([sought('one', 1), sought('one', LIMITS.outboxAcks + 5)])
  expect(forgotten).toMatchObject({ duplicate: true, offset: undefined })
  expect(kept).toEqual(acks.at(-1))
})

test('setting a message aside leaves those around it where they are', async () => {
  const { outbox } = await open()
  const [row] = await outbox.add([{ ...lines('one', 1, 5), keys: ['a', 'b', 'c', 'd', 'e'] }])
  const { publisher } = row as Row

  const refusals = await outbox.setAside(
    TOPIC,
    publisher,
    [{ first: 3, count: 1, code: 'too_deep', message: 'no' }],
    false,
  )

  expect(refusals).toEqual([expect.objectContaining({ id: 'one-3', topic: TOPIC, code: 'too_deep', message: 'no' })])
  const { rows } = await outbox.read(TOPIC)
  expect(rows.map(({ first, count, number, keys, body }) => ({ first, count, number, keys, body }))).toEqual([
    { first: 1, count: 2, number: 1, keys: ['a', 'b'], body: '"one 1",\n"one 2"' },
    { first: 4, count: 2, number: 4, keys: ['d', 'e'], body: '"one 4",\n"one 5"' },
  ])
  expect(await outbox.find([sought('one', 2), sought('one', 3)])).toEqual([
    'waiting',
    expect.objectContaining({ code: 'too_deep' }),
  ])
})

test('what is set aside can be tried again, behind all others and under a new name, or discarded', async () => {
  const { outbox } = await open()
  const [row] = await outbox.add([{ ...lines('one', 1, 3), keys: [null, 'key', null] }])
  const { publisher } = row as Row
  await outbox.setAside(TOPIC, publisher, [{ first: 1, count: 2, code: 'too_deep', message: 'no' }], false)

  const again = await outbox.retry('one-2', 'again')

  expect(again).toEqual([
    expect.objectContaining({ first: 4, count: 1, origin: 'again', number: 1, keys: ['key'], body: '"one 2"' }),
  ])
  expect(await outbox.retry('one-2', 'again')).toBeUndefined()
  expect(await outbox.discard('one-1')).toBe(true)
  expect(await outbox.discard('one-1')).toBe(false)
  expect(await outbox.refused()).toEqual([])
  expect((await outbox.read(TOPIC)).rows.map(({ first, count }) => [first, count])).toEqual([
    [3, 1],
    [4, 1],
  ])
})

test('when the home has forgotten the publisher, what is not settled is set aside and counting starts anew', async () => {
  const { outbox } = await open()
  const [row] = await outbox.add([lines('one', 1, 4)])
  await outbox.add([lines('two', 1, 1)])
  const { publisher } = row as Row
  await outbox.settle([{ topic: TOPIC, publisher, settled: 2, below: 1, acks: [] }])

  const everything = [
    { first: 1, count: Number.POSITIVE_INFINITY, code: 'publisher_expired', message: 'gone' },
  ] as const
  const refusals = await outbox.setAside(TOPIC, publisher, everything, true)
  const [next] = await outbox.add([lines('one', 5, 1)])

  expect(refusals.map(({ id }) => id)).toEqual(['one-3', 'one-4', 'two-1'])
  expect(next).toMatchObject({ first: 1, count: 1 })
  expect(next?.publisher).not.toBe(publisher)
  expect(await outbox.setAside(TOPIC, publisher, everything, true)).toEqual([])
})

test('what is settled does not wait, also while its row is there', async () => {
  const { outbox } = await open()
  const [row] = await outbox.add([lines('one', 1, 3)])
  const { publisher } = row as Row
  await outbox.settle([{ topic: TOPIC, publisher, settled: 2, below: 1, acks: [ack('one', 1, 10), ack('one', 2, 11)] }])

  expect(await outbox.find([sought('one', 2), sought('one', 3)])).toMatchObject([{ offset: 11 }, 'waiting'])
})

test('a row that is gone proves nothing where the whole database is gone', async () => {
  const { outbox, database } = await open()
  await outbox.add([lines('one', 1, 1)])
  await outbox.add([lines('one', 2, 1)])
  await database.write(['meta', 'outbox'], 'strict', async ({ meta, outbox }) => {
    meta.clear()
    outbox.delete([TOPIC, 1])
  })

  expect(await outbox.find([sought('one', 1), sought('one', 2)])).toEqual(['lost', 'waiting'])
})

test('a topic that a newer build has written to is left alone, and the others go on', async () => {
  const { outbox, database } = await open()
  const [row, other] = await outbox.add([lines('one', 1, 1), { ...lines('two', 1, 1), topic: 'rooms/2' }])
  await database.write(['outbox'], 'strict', async ({ outbox }) => void outbox.put({ ...row, v: 2 }, [TOPIC, 1]))

  await expect(outbox.read(TOPIC)).rejects.toThrow('newer build')
  const { counters, rows } = await outbox.read()
  expect(counters.map(({ topic }) => topic)).toEqual(['rooms/2'])
  expect(rows).toEqual([other])
})

test('what a leader of an earlier term still writes changes nothing', async () => {
  const { outbox, database } = await open()
  const [row] = await outbox.add([lines('one', 1, 1)])
  const publisher = row?.publisher as string
  outbox.term = 1
  await database.write(['meta'], 'strict', async ({ meta }) => void meta.put(2, 'term'))

  const settling = outbox.settle([{ topic: TOPIC, publisher, settled: 1, below: 2, acks: [ack('one', 1, 7)] }])
  await expect(settling).rejects.toBeInstanceOf(StoreConflict)
  const aside = outbox.setAside(TOPIC, publisher, [{ first: 1, count: 1, code: 'forbidden', message: 'no' }], false)
  await expect(aside).rejects.toBeInstanceOf(StoreConflict)

  expect(await outbox.read()).toMatchObject({ counters: [{ settled: 0 }], rows: [row] })
  expect(await outbox.refused()).toEqual([])
})

test('a message is on the disk, and not only with the system, when it is said to be stored or set aside', async () => {
  const { outbox } = await open()
  const begun = vi.spyOn(IDBDatabase.prototype, 'transaction')
  onTestFinished(() => begun.mockRestore())

  const [row] = await outbox.add([lines('one', 1, 1)])
  const refused = [{ first: 1, count: 1, code: 'forbidden', message: 'no' }] as const
  await outbox.setAside(TOPIC, row?.publisher as string, refused, false)
  await outbox.retry('one-1', 'again')

  expect(begun.mock.calls.map(([, mode, options]) => [mode, options?.durability])).toEqual(
    Array(3).fill(['readwrite', 'strict']),
  )
})

async function open({ twice = false } = {}) {
  const database = new Database(`messkit/outbox-${crypto.randomUUID()}`, (error) => {
    throw error
  })
  onTestFinished(() => database.close())
  const outbox = new IndexedDBOutbox(twice ? answersLate(database) : database)
  await outbox.open()
  const again = async () => {
    const other = new IndexedDBOutbox(database)
    await other.open()
    return other
  }
  return { database, outbox, again }
}

/** Each write is committed, but its answer is lost, so that it is tried again. */
function answersLate(database: Database): Database {
  const write: Database['write'] = async (stores, durability, work) => {
    await database.write(stores, durability, (opened) => work(opened, false))
    return database.write(stores, durability, (opened) => work(opened, true))
  }
  return { read: database.read.bind(database), write } as Database
}

const lines = (origin: string, number: number, count: number): Addition => ({
  topic: TOPIC,
  origin,
  number,
  keys: undefined,
  lines: numbers(number, number + count - 1).map((n) => `"${origin} ${n}"`),
})

const ack = (origin: string, number: number, offset: number) => ({
  origin,
  number,
  count: 1,
  offset,
  duplicate: false,
  epoch: 'e',
})
const sought = (origin: string, number: number) => ({ topic: TOPIC, id: `${origin}-${number}`, origin, number })
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
