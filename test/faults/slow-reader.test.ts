import { createMess, type Message } from '@messkit/sdk'
import { type Frame, LIMITS } from '@messkit/sdk/protocol'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { memoryOf } from '../support/processes.ts'
import { runProxy } from '../support/proxy.ts'
import { RawLink } from '../support/raw-link.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

/** 50 MB of traffic. */
const MESSAGES = 3_200
const PAD = 'x'.repeat(16_000)
const MIB = 1024 * 1024

let server: TestServer
beforeAll(async () => {
  server = await runServer()
})
afterAll(() => server.end())

interface Note {
  readonly number: number
  readonly pad: string
}

test('readers that stop reading are sent one window and one frame, the others everything', {
  timeout: 300_000,
}, async () => {
  const token = await makeToken()
  const topic = 'slow/sockets'
  const stopped = await Promise.all(Array.from({ length: 8 }, () => RawLink.open(server.url, topic, token)))
  for (const link of stopped) {
    await link.ask('subscribe', { subscription: 1, from: 'now', window: LIMITS.creditBytes })
    link.pause()
  }
  const before = memoryOf(server.pid)

  const healthy = await traffic(topic)

  expect(healthy).toEqual(numbers(MESSAGES))
  // Had it all been queued, it would be 400 MB more.
  if (before !== undefined) expect((memoryOf(server.pid) ?? 0) - before).toBeLessThan(200 * MIB)
  for (const link of stopped) {
    link.resume()
    // Answers and deliveries come in order, so behind this one nothing is on its way.
    await link.ask('unsubscribe', { subscription: 99 })
    const deliveries = link.sizes.filter((_, i) => link.frames[i]?.method === 'deliver')
    const sent = deliveries.reduce((sum, size) => sum + size, 0)
    expect(sent).toBeGreaterThan(LIMITS.creditBytes / 2)
    expect(sent - (deliveries.at(-1) ?? 0)).toBeLessThanOrEqual(LIMITS.creditBytes)
    expect(Math.max(...deliveries)).toBeLessThanOrEqual(LIMITS.frameBytes)
  }
  for (const link of stopped) {
    expect(await catchUp(link)).toEqual(numbers(MESSAGES))
    link.close()
  }
})

test('a handler that blocks is sent one window and one frame, the others everything, and it catches up in order', {
  timeout: 300_000,
}, async () => {
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  const mess = await client(proxy.url)
  const topic = 'slow/handler'
  let release = (): void => {}
  const blocked = new Promise<void>((resolve) => {
    release = resolve
  })
  const seen: number[] = []
  let all = (): void => {}
  const complete = new Promise<void>((resolve) => {
    all = resolve
  })
  const subscription = mess.topic<Note>(topic).subscribe(async ({ data }) => {
    await blocked
    if (seen.push(data.number) === MESSAGES) all()
  })
  await subscription.ready
  const before = proxy.down.bytes

  const healthy = await traffic(topic)

  expect(healthy).toEqual(numbers(MESSAGES))
  // Two topics of one client do not wait for each other: the answer comes behind whatever the server had on its way.
  await mess.topic(topic).history({ limit: 1 })
  expect(proxy.down.bytes - before).toBeGreaterThan(LIMITS.creditBytes / 2)
  expect(proxy.down.bytes - before).toBeLessThan(LIMITS.creditBytes + LIMITS.frameBytes)
  expect(seen).toEqual([])

  release()
  await complete
  expect(seen).toEqual(numbers(MESSAGES))
})

/** A healthy pair: one publishes it all, and the other one gets it all. */
async function traffic(name: string): Promise<number[]> {
  const [publisher, subscriber] = [await client(server.url), await client(server.url)]
  const seen: number[] = []
  let all = (): void => {}
  const complete = new Promise<void>((resolve) => {
    all = resolve
  })
  const subscription = subscriber.topic<Note>(name).subscribe(({ data }: Message<Note>) => {
    if (seen.push(data.number) === MESSAGES) all()
  })
  await subscription.ready
  const topic = publisher.topic<Note>(name)
  const receipts = numbers(MESSAGES).map((number) => topic.publish({ number, pad: PAD }))
  const acks = await Promise.all(receipts)
  expect(acks.map(({ offset }) => offset)).toEqual(numbers(MESSAGES))
  await complete
  subscription.stop()
  return seen
}

/** Handles all that has come and gives credit back for it, until the end of the log. */
async function catchUp(link: RawLink): Promise<number[]> {
  const seen: number[] = []
  for (let next = 0; next < MESSAGES; ) {
    const frame = await link.next((frame) => frame.method === 'deliver' && paramsOf(frame).first === next)
    const { messages, through, next: behind } = paramsOf(frame)
    seen.push(...messages.map(({ number }) => number))
    next = behind
    link.tell('credit', { subscription: 1, through: through + LIMITS.creditBytes })
  }
  return seen
}

interface Delivered {
  readonly first: number
  readonly next: number
  readonly through: number
  readonly messages: readonly Note[]
}

const paramsOf = (frame: Frame) => frame.params as Delivered

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

async function client(url: string) {
  const token = await makeToken()
  const mess = createMess({ url, token: () => token })
  onTestFinished(async () => void (await mess.close()))
  return mess
}
