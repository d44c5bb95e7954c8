import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { createMess, type Mess, type MessError, type MessOptions, type Status } from '../../packages/sdk/src/index.ts'
import { factories } from './factories.ts'

const TOPIC = 'rooms/1'
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:9/'

afterEach(() => vi.restoreAllMocks())

test('where the browser gives no database, everything works in memory and says so', async () => {
  vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(() => {
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
  vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(() => {
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
  const { mess: other } = client({ name })
  await other.topic(TOPIC).publish('of the other')
  const dying = killDatabases()

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
  const { mess: other } = client({ name })
  await other.topic(TOPIC).publish('of the other')
  const dying = killDatabases()
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
  const full = fill()

  const { mess: other, errors } = client({ name })
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

  await deleteDatabases()

  expect(await mess.topic(TOPIC).publish('after').stored).toEqual({ durability: 'disk' })
  await mess.topic(TOPIC).publish('later')
  const { messages } = await mess.topic(TOPIC).history()
  expect(messages.map(({ data }) => data)).toEqual(['after', 'later'])
})

test('after the database is lost a view goes on with own messages, and asks the server for nothing but the topic', async () => {
  const asked: string[] = []
  vi.stubGlobal('WebSocket', unreachable(asked))
  onTestFinished(() => void vi.unstubAllGlobals())
  const { mess } = client({ url: NOWHERE, reconnect: { minMs: 1, maxMs: 2 } })
  const shown: Record<string, unknown[]> = {}
  for (const [kind, replica] of [
    ['copy', { maxMessages: 10 }],
    ['memory', undefined],
  ] as const)
    await mess.topic(TOPIC, replica && { replica }).view((list) => {
      shown[kind] = list.map(({ data }) => data)
    }).ready
  await mess.topic(TOPIC).publish('one').stored
  const dying = killDatabases()

  await mess.topic(TOPIC).publish('two').stored

  dying.mockRestore()
  await mess.topic(TOPIC).publish('three').stored
  await vi.waitFor(() => expect(shown.memory).toEqual(['one', 'two', 'three']))
  await vi.waitFor(() => expect(shown.copy).toEqual(['one', 'two', 'three']))
  asked.length = 0
  await vi.waitFor(() => expect(asked.length).toBeGreaterThan(20))
  expect(asked.filter((url) => !url.endsWith(TOPIC))).toEqual([])
})

test('listeners of status hear that the disk is full, and that what did not fit does not wait', async () => {
  const { mess } = client()
  await mess.topic(TOPIC).publish('before')
  const heard: Status[] = []
  mess.on('status', (status) => heard.push(status))
  const full = fill()

  await expect(mess.topic(TOPIC).publish('too much')).rejects.toMatchObject({ code: 'store_full' })

  full.mockRestore()
  await vi.waitFor(() => expect(heard.at(-1)).toMatchObject({ storage: 'full', unsent: 0 }))
})

test('the disk is not full any more once anything fits again, and listeners of status hear it', async () => {
  const { mess } = client()
  await mess.topic(TOPIC).publish('before')
  const full = fill()
  await expect(mess.topic(TOPIC).publish('too much')).rejects.toMatchObject({ code: 'store_full' })
  expect(mess.status.storage).toBe('full')
  full.mockRestore()
  const heard: Status[] = []
  mess.on('status', (status) => heard.push(status))

  // Nothing is published any more: only a position is saved.
  mess.topic(TOPIC).subscribe(() => {}, { resume: 'main', from: 'start' })

  await vi.waitFor(() => expect(heard.at(-1)).toMatchObject({ storage: 'disk' }))
})

test('a database that found no room to be opened again is opened once there is some', async () => {
  const { mess } = client()
  await mess.topic(TOPIC).publish('before')
  // Takes the handle away.
  await deleteDatabases()
  const full = vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(() => {
    throw new DOMException('No room', 'QuotaExceededError')
  })
  await expect(mess.topic(TOPIC).publish('too much')).rejects.toMatchObject({ code: 'store_full' })
  full.mockRestore()

  expect(await mess.topic(TOPIC).publish('after').stored).toEqual({ durability: 'disk' })
})

test('the browser is asked to keep the storage with the first message that is stored, once, and not before', async () => {
  const { StorageBucket } = globalThis as unknown as { StorageBucket: { prototype: StorageManager } }
  const persist = vi.spyOn(StorageBucket.prototype, 'persist')
  const { mess } = client()
  await mess.outbox.list()
  expect(persist).not.toHaveBeenCalled()

  await mess.topic(TOPIC).publish('one').stored
  await mess.topic(TOPIC).publish('two').stored

  expect(persist).toHaveBeenCalledTimes(1)
})

function killDatabases() {
  return vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(() => {
    throw new DOMException('The handle was killed', 'InvalidStateError')
  })
}

function fill() {
  return vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
    throw new DOMException('No room', 'QuotaExceededError')
  })
}

/** Sockets that break at once, each noted by its address. */
function unreachable(asked: string[]) {
  return class extends EventTarget {
    static readonly OPEN = 1
    readonly readyState = 0
    onclose: ((event: { code: number }) => void) | undefined
    constructor(url: URL) {
      super()
      asked.push(decodeURIComponent(String(url)))
      setTimeout(() => this.onclose?.({ code: 1006 }))
    }
    send(): void {}
    close(): void {}
  }
}

async function deleteDatabases(): Promise<void> {
  for (const factory of await factories())
    for (const { name } of await factory.databases()) await deleted(factory.deleteDatabase(name as string))
}

function deleted(request: IDBOpenDBRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
  })
}

function client({ name = crypto.randomUUID(), ...options }: MessOptions = {}): {
  mess: Mess
  name: string
  errors: MessError[]
} {
  const mess = createMess({ name, ...options })
  const errors: MessError[] = []
  mess.on('error', (error) => errors.push(error))
  onTestFinished(async () => void (await mess.close()))
  return { mess, name, errors }
}
