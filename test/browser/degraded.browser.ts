import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { createMess, type Mess, type MessError } from '../../packages/sdk/src/index.ts'

const TOPIC = 'rooms/1'

afterEach(() => vi.restoreAllMocks())

test('where the browser gives no database, everything works in memory and says so', async () => {
  vi.spyOn(indexedDB, 'open').mockImplementation(() => {
    throw new DOMException('No databases here', 'SecurityError')
  })
  const { mess, errors } = client()
  const seen: unknown[] = []
  mess.topic(TOPIC).subscribe(({ data }) => void seen.push(data), { resume: 'main', from: 'start' })

  const receipts = [mess.topic(TOPIC).publish('early'), mess.topic(TOPIC).publish('too')]

  expect(await receipts[0]?.stored).toEqual({ durability: 'memory' })
  expect((await Promise.all(receipts)).map(({ offset }) => offset)).toEqual([0, 1])
  expect((await mess.topic(TOPIC).publish('later')).offset).toBe(2)
  await vi.waitFor(() => expect(seen).toEqual(['early', 'too', 'later']))
  expect(mess.status).toMatchObject({ storage: 'memory', role: 'alone', unsent: 0 })
  expect(errors.map(({ code }) => code)).toEqual(['storage_lost'])
})

test('ids stay what they were when the database turns out to be missing', async () => {
  vi.spyOn(indexedDB, 'open').mockImplementation(() => {
    throw new DOMException('No databases here', 'SecurityError')
  })
  const { mess } = client()
  const { id } = mess.topic(TOPIC).publish('early')

  await vi.waitFor(async () => expect((await mess.topic(TOPIC).history()).messages).toHaveLength(1))

  expect((await mess.topic(TOPIC).history()).messages[0]?.id).toBe(id)
})

test('when the database dies, what was stored stays there, what comes is kept in memory, and another tab takes over', async () => {
  const { mess, errors, name } = client()
  await mess.topic(TOPIC).publish('before')
  expect(mess.status).toMatchObject({ storage: 'disk', role: 'leader' })
  const { mess: other } = client(name)
  await other.topic(TOPIC).publish('of the other')
  const dying = vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(() => {
    throw new DOMException('The handle was killed', 'InvalidStateError')
  })

  const receipt = mess.topic(TOPIC).publish('after')

  expect(await receipt.stored).toEqual({ durability: 'memory' })
  dying.mockRestore()
  expect(mess.status).toMatchObject({ storage: 'lost', role: 'follower' })
  expect(errors.map(({ code }) => code)).toContain('storage_lost')
  await vi.waitFor(() => expect(other.status.role).toBe('leader'))
  expect((await receipt).offset).toBe(2)
  const { messages } = await other.topic(TOPIC).history()
  expect(messages.map(({ data }) => data)).toEqual(['before', 'of the other', 'after'])
})

test('a tab that has lost its database still reaches the others when it comes back from the cache', async () => {
  const { mess, name } = client()
  await mess.topic(TOPIC).publish('before')
  const { mess: other } = client(name)
  await other.topic(TOPIC).publish('of the other')
  const dying = vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(() => {
    throw new DOMException('The handle was killed', 'InvalidStateError')
  })
  await mess.topic(TOPIC).publish('after').stored
  dying.mockRestore()
  await vi.waitFor(() => expect(other.status.role).toBe('leader'))

  dispatchEvent(new Event('pagehide'))
  dispatchEvent(new Event('pageshow'))

  expect((await mess.topic(TOPIC).publish('later')).offset).toBe(3)
})

test('a tab that finds no room when it becomes the home of local topics is their home once there is some', async () => {
  const original = IDBDatabase.prototype.transaction
  let tries = 0
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...args) {
    const [stores, , options] = args
    if (String(stores) === 'meta' && options?.durability === 'strict' && ++tries === 1)
      throw new DOMException('No room', 'QuotaExceededError')
    return original.apply(this, args)
  })
  const { mess, errors } = client()

  const receipt = mess.topic(TOPIC).publish('hello')

  expect((await receipt).offset).toBe(0)
  expect(tries).toBe(2)
  expect(mess.status.role).toBe('leader')
  expect(errors.map(({ code }) => code)).toEqual(['store_full'])
})

test('a tab that opens where there is no room joins the others, and stores again once there is some', async () => {
  const { mess, name } = client()
  await mess.topic(TOPIC).publish('before')
  const full = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
    throw new DOMException('No room', 'QuotaExceededError')
  })

  const { mess: other, errors } = client(name)
  const { messages } = await other.topic(TOPIC).history()

  expect(messages.map(({ data }) => data)).toEqual(['before'])
  expect(other.status.role).toBe('follower')
  await expect(other.topic(TOPIC).publish('too much')).rejects.toMatchObject({ code: 'store_full' })
  full.mockRestore()
  expect((await other.topic(TOPIC).publish('after')).offset).toBe(1)
  expect(errors.map(({ code }) => code)).toEqual(['store_full'])
})

test('when somebody empties the database, what is published from then on is stored and sent', async () => {
  const { mess } = client()
  await mess.topic(TOPIC).publish('before')

  for (const { name } of await indexedDB.databases()) await deleted(indexedDB.deleteDatabase(name as string))

  expect(await mess.topic(TOPIC).publish('after').stored).toEqual({ durability: 'disk' })
  await mess.topic(TOPIC).publish('later')
  const { messages } = await mess.topic(TOPIC).history()
  expect(messages.map(({ data }) => data)).toEqual(['after', 'later'])
})

function deleted(request: IDBOpenDBRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
  })
}

function client(name: string = crypto.randomUUID()): { mess: Mess; name: string; errors: MessError[] } {
  const mess = createMess({ name })
  const errors: MessError[] = []
  mess.on('error', (error) => errors.push(error))
  onTestFinished(async () => void (await mess.close()))
  return { mess, name, errors }
}
