import { expect, onTestFinished, test } from 'vitest'
import { DurableOutbox } from '../../packages/sdk/src/client/durable-outbox.ts'
import { TabBus } from '../../packages/sdk/src/link/tabs.ts'
import { Database } from '../../packages/sdk/src/store/indexeddb-database.ts'
import { IndexedDBOutbox } from '../../packages/sdk/src/store/indexeddb-outbox.ts'
import { StoreFull } from '../../packages/sdk/src/store/store.ts'
import { eventually } from '../support/eventually.ts'

const TOPIC = 'rooms/1'

test('what was acked leaves the disk, also where there was no room to delete it the first time', async () => {
  const { outbox, store } = await leading()
  const settle = store.settle.bind(store)
  let tries = 0
  store.settle = async (settlements) => {
    if (++tries === 1) throw new StoreFull('no room')
    await settle(settlements)
  }
  const topic = outbox.topic(TOPIC, () => {})
  const receipt = topic.add('"hello"', undefined)
  await eventually(() => expect(topic.publisher().size).toBe(1))

  topic.settle('epoch', [{ fate: 'stored', first: 1, count: 1, offset: 7 }], () => {})

  await eventually(async () => expect(await outbox.list()).toEqual([]))
  const [origin, number] = receipt.id.split(/-(?=\d+$)/) as [string, string]
  const found = await store.find([{ topic: TOPIC, id: receipt.id, origin, number: Number(number) }])
  expect(found).toMatchObject([{ offset: 7, duplicate: false }])
})

test('a refused message stays on the disk until its refusal is recorded, whatever was acked beside it', async () => {
  const { outbox, store } = await leading()
  const setAside = store.setAside.bind(store)
  let tries = 0
  store.setAside = async (...args) => {
    if (++tries === 1) throw new StoreFull('no room')
    return setAside(...args)
  }
  const topic = outbox.topic(TOPIC, () => {})
  const receipts = ['"one"', '"two"'].map((line) => topic.add(line, undefined))
  await eventually(() => expect(topic.publisher().size).toBe(2))

  const fates = [
    { fate: 'stored', first: 1, count: 1, offset: 7 },
    { fate: 'refused', first: 2, count: 1, code: 'bad_payload' },
  ] as const
  await new Promise<void>((noted) => topic.settle('epoch', fates, noted))

  expect(tries).toBe(2)
  expect(await receipts[0]).toMatchObject({ offset: 7 })
  await expect(receipts[1]).rejects.toMatchObject({ code: 'bad_payload' })
  await eventually(async () =>
    expect(await outbox.list()).toMatchObject([{ id: receipts[1]?.id, topic: TOPIC, state: 'refused' }]),
  )
  expect((await store.read(TOPIC)).rows).toEqual([])
})

test('a refusal that could not be recorded before the lead was let go is not recorded by who leads again', async () => {
  const { outbox, store } = await leading()
  const setAside = store.setAside.bind(store)
  const { promise: tried, resolve: trying } = Promise.withResolvers<void>()
  const { promise: again, resolve: goOn } = Promise.withResolvers<void>()
  store.setAside = async (...args) => {
    trying()
    await again
    // The first try failed, and the second finds this tab leading anew.
    if (store.term === 1) throw new StoreFull('no room')
    return setAside(...args)
  }
  const topic = outbox.topic(TOPIC, () => {})
  const receipt = topic.add('"one"', undefined)
  await eventually(() => expect(topic.publisher().size).toBe(1))
  const noted = new Promise<void>((resolve) =>
    topic.settle('epoch', [{ fate: 'refused', first: 1, count: 1, code: 'forbidden' }], resolve),
  )
  await tried

  outbox.resign()
  goOn()
  await noted
  await outbox.lead(2)

  expect(topic.publisher().size).toBe(1)
  topic.settle('epoch', [{ fate: 'stored', first: 1, count: 1, offset: 7 }], () => {})
  expect(await receipt).toMatchObject({ offset: 7 })
  expect(await store.refused()).toEqual([])
})

test('what was read before the lock was let go takes nothing away from who has it again', async () => {
  const { outbox, store, name } = await leading()
  const topic = outbox.topic(TOPIC, () => {})
  topic.add('"one"', undefined)
  await eventually(() => expect(topic.publisher().size).toBe(1))
  const read = store.read.bind(store)
  const held: (() => void)[] = []
  store.read = async (...args) => {
    const answer = await read(...args)
    await new Promise<void>((resolve) => held.push(resolve))
    return answer
  }
  await store.add([{ topic: TOPIC, origin: 'other', number: 1, keys: undefined, lines: ['"two"'] }])
  const other = new TabBus('other')
  other.open(name)
  onTestFinished(() => other.close())
  other.post('added', { topics: [TOPIC], rows: [] })
  await eventually(() => expect(held).toHaveLength(1))
  outbox.resign()
  const again = outbox.lead(1)
  await eventually(() => expect(held).toHaveLength(2))

  for (const answer of held.splice(0)) answer()
  await again

  expect(topic.publisher().list()).toMatchObject([{ line: '"one"' }, { line: '"two"' }])
})

test('a message that was acked before its tab knew that it is stored is acked all the same', async () => {
  const { outbox, store } = await leading()
  const add = store.add.bind(store)
  store.add = async (additions) => {
    const [row] = await add(additions)
    if (!row) throw new Error('nothing was added')
    const { publisher, origin, number } = row
    const ack = { origin, number, count: 1, offset: 7, duplicate: false, epoch: 'e' }
    await store.settle([{ topic: TOPIC, publisher, settled: 1, below: 2, acks: [ack] }])
    // As where the answer was lost, and it is tried again.
    return []
  }

  const receipt = outbox.topic(TOPIC, () => {}).add('"one"', undefined)

  expect(await receipt).toMatchObject({ offset: 7 })
})

test('a refusal whose record was written and the answer lost is heard all the same', async () => {
  const { outbox, store } = await leading()
  const setAside = store.setAside.bind(store)
  store.setAside = async (...args) => {
    await setAside(...args)
    return setAside(...args)
  }
  const topic = outbox.topic(TOPIC, () => {})
  const receipt = topic.add('"one"', undefined)
  await eventually(() => expect(topic.publisher().size).toBe(1))

  topic.settle('epoch', [{ fate: 'refused', first: 1, count: 1, code: 'bad_payload' }], () => {})

  await expect(receipt).rejects.toMatchObject({ code: 'bad_payload' })
  expect(outbox.unsent).toBe(0)
})

test('what was being written when the database was lost goes before what is published after', async () => {
  const { outbox, store } = await leading()
  const writing = Promise.withResolvers<never>()
  let tries = 0
  store.add = () => {
    tries++
    return writing.promise
  }
  const topic = outbox.topic(TOPIC, () => {})
  topic.add('"one"', undefined)
  await eventually(() => expect(tries).toBe(1))
  outbox.giveUp()

  topic.add('"two"', undefined)
  writing.reject(new DOMException('The handle was killed', 'AbortError'))
  await outbox.flushed()
  topic.add('"three"', undefined)

  const waiting = topic.publisher().list()
  expect(waiting.map(({ line }) => line)).toEqual(['"one"', '"two"', '"three"'])
})

test('rows that are settled and were left over are deleted by the next tab that drains the outbox', async () => {
  const { outbox, store } = await leading()
  const [row] = await store.add([{ topic: TOPIC, origin: 'other', number: 1, keys: undefined, lines: ['"one"'] }])
  await store.settle([{ topic: TOPIC, publisher: row?.publisher ?? '', settled: 1, below: 1, acks: [] }])

  outbox.resign()
  await outbox.lead(1)

  await eventually(async () => expect((await store.read(TOPIC)).rows).toEqual([]))
})

test('the last words of the tab that drained the outbox before change nothing', async () => {
  const { outbox, name } = await leading()
  const before = new TabBus('before')
  before.open(name)
  onTestFinished(() => before.close())
  const heard = new Promise((resolve) => before.on('added', resolve))

  before.post('counts', { unsent: 21, bytes: 400, term: 0 })
  // What is posted back is heard after it.
  outbox.bus.post('added', { topics: [], rows: [] })
  await heard

  expect(outbox.unsent).toBe(0)
})

test('what a tab says that drained the outbox before another one does not count any more', async () => {
  const { outbox, name } = await leading()
  outbox.resign()
  const [before, after] = ['before', 'after'].map((id) => {
    const bus = new TabBus(id)
    bus.open(name)
    onTestFinished(() => bus.close())
    return bus
  }) as [TabBus, TabBus]
  const hears = (unsent: number) => eventually(() => expect(outbox.unsent).toBe(unsent))

  before.post('counts', { unsent: 2, bytes: 40, term: 1 })
  await hears(2)
  after.post('holder', { term: 2 })
  after.post('counts', { unsent: 1, bytes: 20, term: 2 })
  await hears(1)
  const heard = new Promise((resolve) => before.on('added', resolve))
  // It was stopped, and does not know yet.
  before.post('holder', { term: 1 })
  before.post('counts', { unsent: 3, bytes: 60, term: 1 })
  outbox.bus.post('added', { topics: [], rows: [] })
  await heard

  expect(outbox.unsent).toBe(1)
  after.post('counts', { unsent: 0, bytes: 0, term: 2 })
  await hears(0)
})

async function leading() {
  const name = `messkit/draining-${crypto.randomUUID()}`
  const database = new Database(name, (error) => {
    throw error
  })
  const bus = new TabBus('this')
  bus.open(name)
  onTestFinished(() => {
    bus.close()
    database.close()
  })
  const store = new IndexedDBOutbox(database)
  const nothing = (): void => {}
  const events = {
    refused: nothing,
    counted: nothing,
    connect: () => undefined as never,
    retry: nothing,
    forgotten: nothing,
    report: nothing,
  }
  const outbox = Object.assign(
    new DurableOutbox({ events, bus, isAlive: async () => true, waits: nothing, overtaken: nothing, keep: nothing }),
    { bus },
  )
  await outbox.open(store)
  await outbox.lead(1)
  return { outbox, store, name }
}
