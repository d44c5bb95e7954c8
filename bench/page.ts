// What the pages of the browser questions run: Messkit as its users have it, and the bare parts that it is held against.
import { createMess, type Mess } from '@messkit/sdk'
import { PROTOCOL } from '@messkit/sdk/protocol'
import type { Payload } from './harness/contender.ts'

declare global {
  var bench: typeof import('./page.ts')
}

/** How a page reaches the other one: by posts of its own, or by topics that nothing keeps, or that are on the disk. */
export type Way = 'posts' | 'session' | 'durable'

const TEXT = 'x'.repeat(41)
const payload = (n: number): Payload => ({ n: 1_000_000 + n, text: TEXT })
const indexOf = ({ n }: Payload): number => n - 1_000_000
/** Longer than what follows a message on the disk: that the next one comes while it is still busy is another question. */
const LONE_MS = 10

/** A page that sends faster than the other one takes runs far ahead; what is trimmed before it is read would be a gap. */
const RETENTION = { messages: 1_000_000, bytes: 1024 ** 3 }

const messes = new Map<string, Mess>()

/** One client a page and way, over all rounds. */
export function messOf(way: Exclude<Way, 'posts'>): Mess {
  const storage = way === 'session' ? 'memory' : 'durable'
  const mess = messes.get(way) ?? createMess({ name: way, storage, retention: RETENTION })
  messes.set(way, mess)
  return mess
}

/** Calls `heard` with what the other page sends under this name. Resolves once nothing of it is missed. */
async function listen(way: Way, name: string, heard: (data: Payload) => void): Promise<() => void> {
  if (way === 'posts') {
    const channel = new BroadcastChannel(name)
    channel.onmessage = ({ data }: MessageEvent<Payload>) => heard(data)
    return () => channel.close()
  }
  const subscription = messOf(way)
    .topic<Payload>(name)
    .subscribe(({ data }) => heard(data))
  await subscription.ready
  return () => subscription.stop()
}

/** What sends to whoever listens under this name. */
function sender(way: Way, name: string): (data: Payload) => PromiseLike<unknown> | undefined {
  if (way !== 'posts') {
    const topic = messOf(way).topic<Payload>(name)
    return (data) => topic.publish(data)
  }
  const channel = new BroadcastChannel(name)
  return (data) => void channel.postMessage(data)
}

// ---- who leads

/** Of clients that come and go: by the name of those that share. */
const joined = new Map<string, Mess>()

/** Resolves once this page's client has found the others. */
export async function join(name: string): Promise<void> {
  const mess = createMess({ name })
  joined.set(name, mess)
  await mess.topic('joined').publish({})
}

/** When this page began to lead, in ms since 1970. */
export function ledAt(name: string): Promise<number> {
  const mess = joined.get(name) as Mess
  return new Promise((resolve) =>
    mess.on('status', ({ role }) => {
      if (role === 'leader') resolve(performance.timeOrigin + performance.now())
    }),
  )
}

/** @returns when it began to */
export async function leave(name: string): Promise<number> {
  const at = performance.timeOrigin + performance.now()
  await joined.get(name)?.close()
  return at
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

// ---- how long one message takes

/** Measures one time, in ms. */
type Sample = () => Promise<number>

/** One sample of each in turn, and the order turns around each time: what else the machine does meets all of them alike. */
async function alternate<C extends string>(samples: Record<C, Sample>, count: number): Promise<Record<C, number[]>> {
  const measured = Object.fromEntries(Object.keys(samples).map((name) => [name, [] as number[]])) as Record<C, number[]>
  const names = Object.keys(samples) as C[]
  for (let n = 0; n < count; n++) {
    for (const name of n % 2 === 0 ? names : names.toReversed()) {
      await pause(LONE_MS)
      measured[name].push(await samples[name]())
    }
  }
  return measured
}

interface Pong extends Payload {
  /** How long the answering page waited by its own clock before it answered. */
  readonly heldMs: number
}

let answering: (() => void)[] = []

/** Answer every message, after a while, however it comes. */
export async function answerPings(ways: readonly Way[], name: string): Promise<void> {
  for (const stop of answering.splice(0)) stop()
  const answer = (way: Way): Promise<() => void> => {
    const send = sender(way, `${name}/back`)
    return listen(way, `${name}/there`, async (data) => {
      const heardAt = performance.now()
      await pause(LONE_MS)
      send({ ...data, heldMs: performance.now() - heardAt } as Pong)
    })
  }
  answering = await Promise.all(ways.map(answer))
}

/** Half of a round trip: no clock is compared with that of another page. */
async function pings(way: Way, name: string): Promise<Sample> {
  const send = sender(way, `${name}/there`)
  let hear: (pong: Pong) => void = () => {}
  await listen(way, `${name}/back`, (data) => hear(data as Pong))
  let next = 0
  return () =>
    new Promise((resolve, reject) => {
      const n = next++
      hear = (pong) => {
        if (indexOf(pong) === n) resolve((performance.now() - sentAt - pong.heldMs) / 2)
        else reject(new Error(`message ${indexOf(pong)} came back instead of ${n}`))
      }
      const sentAt = performance.now()
      send(payload(n))
    })
}

/** One put on the disk: what a durable message cannot cost less than. */
async function writes(): Promise<Sample> {
  const request = indexedDB.open('bare')
  request.onupgradeneeded = () => request.result.createObjectStore('rows')
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  let next = 0
  return () =>
    new Promise((resolve, reject) => {
      const startedAt = performance.now()
      const transaction = database.transaction('rows', 'readwrite', { durability: 'strict' })
      transaction.objectStore('rows').put(payload(next), next++)
      transaction.oncomplete = () => resolve(performance.now() - startedAt)
      transaction.onabort = () => reject(transaction.error)
    })
}

/** To the page that answers under this name, and what it is held against. */
export async function pingSession(name: string, count: number) {
  return alternate({ session: await pings('session', name), posts: await pings('posts', name) }, count)
}

export async function pingDurable(name: string, count: number) {
  const samples = { durable: await pings('durable', name), posts: await pings('posts', name), writes: await writes() }
  return alternate(samples, count)
}

/** From `publish()` to `stored`. */
export async function store(name: string, count: number) {
  const topic = messOf('durable').topic<Payload>(name)
  let next = 0
  const stored: Sample = async () => {
    const startedAt = performance.now()
    const receipt = topic.publish(payload(next++))
    const { durability } = await receipt.stored
    const waited = performance.now() - startedAt
    if (durability !== 'disk') throw new Error('nothing is kept on the disk')
    await receipt
    return waited
  }
  await stored()
  return alternate({ stored, writes: await writes() }, count)
}

// ---- how many messages a second

let counting: Promise<number> | undefined

/** Milliseconds since 1970, finer than `Date` says them; between pages of one browser they differ by less than one. */
const moment = (): number => performance.timeOrigin + performance.now()

/** Count messages as they come, all of them and in their order. */
export async function count(way: Way, name: string, messages: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let expected = 0
  const stop = await listen(way, name, (data) => {
    if (indexOf(data) !== expected++) reject(new Error(`message ${indexOf(data)} came instead of ${expected - 1}`))
    if (expected !== messages) return
    resolve(moment())
    stop()
  })
  counting = promise
}

/** The moment at which the last one came. */
export const counted = (): Promise<number> => counting as Promise<number>

/**
 * Posts go out as fast as they can; of a topic's messages so many are in flight.
 * @returns the moment of the first one
 */
export async function send(way: Way, name: string, messages: number, inFlight = 2_000): Promise<number> {
  const send = sender(way, name)
  const startedAt = moment()
  let next = 0
  const loop = async (): Promise<void> => {
    while (next < messages) await send(payload(next++))
  }
  if (way !== 'posts') await Promise.all(Array.from({ length: inFlight }, loop))
  else while (next < messages) send(payload(next++))
  return startedAt
}

// ---- with a server

export interface Server {
  readonly url: string
  readonly token: string
}

const connect = ({ url, token }: Server): Mess => createMess({ url, name: 'remote', token: () => token })

/** Acked messages a second, published while there is a connection. */
export async function publishOnline(server: Server, name: string, messages: number): Promise<number> {
  const mess = connect(server)
  const topic = mess.topic<Payload>(name)
  await topic.publish(payload(0))
  let next = 1
  const loop = async (): Promise<void> => {
    while (next <= messages) await topic.publish(payload(next++))
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: 2_000 }, loop))
  const seconds = (performance.now() - startedAt) / 1000
  await mess.close()
  return messages / seconds
}

let draining: Promise<number> | undefined

/** Publish without a network, so many in one go. Resolves once all are on the disk. */
export async function publishOffline(server: Server, name: string, messages: number, inOneGo: number): Promise<void> {
  const mess = connect(server)
  const topic = mess.topic<Payload>(name)
  const acks: PromiseLike<{ readonly offset: number | undefined }>[] = []
  for (let n = 0; n < messages; ) {
    const receipts = Array.from({ length: inOneGo }, () => topic.publish(payload(n++)))
    for (const { durability } of await Promise.all(receipts.map(({ stored }) => stored)))
      if (durability !== 'disk') throw new Error('nothing is kept on the disk')
    acks.push(...receipts)
  }
  if (navigator.onLine || mess.status.unsent !== messages) throw new Error('the page was not offline')
  const online = new Promise<number>((resolve) =>
    addEventListener('online', () => resolve(performance.now()), { once: true }),
  )
  draining = Promise.all([online, Promise.all(acks)]).then(async ([startedAt, all]) => {
    const seconds = (performance.now() - startedAt) / 1000
    const wrong = all.findIndex(({ offset }, n) => offset !== n)
    if (wrong !== -1) throw new Error(`message ${wrong} was acked at offset ${all[wrong]?.offset}`)
    await mess.close()
    return messages / seconds
  })
}

/** Acked messages a second, from the moment when the browser says that there is a network. */
export const drained = (): Promise<number> => draining as Promise<number>

/** Until all topics are live, from the making of the client on, in ms. */
export async function subscribeAll(server: Server, names: readonly string[]): Promise<number> {
  const startedAt = performance.now()
  const mess = connect(server)
  await Promise.all(names.map((name) => mess.topic(name).subscribe(() => {}).ready))
  const waited = performance.now() - startedAt
  await mess.close()
  return waited
}

/** Until as many bare sockets to topics are open, one after the other, in ms. */
export async function openAll({ url, token }: Server, names: readonly string[]): Promise<number> {
  const base = `${url.replace('http', 'ws')}/v1/topics/`
  const bearer = PROTOCOL.bearer + btoa(token).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  const sockets: WebSocket[] = []
  const startedAt = performance.now()
  for (const name of names) {
    const socket = new WebSocket(base + name, [PROTOCOL.name, bearer])
    sockets.push(socket)
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve()
      socket.onclose = ({ code }) => reject(new Error(`a socket closed with ${code}`))
    })
  }
  const waited = performance.now() - startedAt
  for (const socket of sockets) {
    socket.onclose = null
    socket.close()
  }
  return waited
}
