import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { HEARTBEAT } from '@messkit/sdk/protocol'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { SqliteStore } from '../../packages/edge/src/store/sqlite.ts'
import { Client, type Delivered, makeToken, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
const stubOf = (topic: string) => settings.TOPICS.getByName(`topic:main:${topic}`)

beforeAll(() => {
  settings.TOKEN_SECRET = SECRET
})

afterEach(() => {
  vi.restoreAllMocks()
})

async function greeted(topic: string, claims = {}): Promise<Client> {
  const client = new Client(await worker.fetch(upgradeRequest(topic, await makeToken(claims)), settings), topic)
  await client.hello()
  return client
}

/** Fails on a hole or a repeat. */
function messagesOf(ranges: readonly Delivered[], first = 0): unknown[] {
  let next = first
  for (const range of ranges) {
    expect(range.first).toBe(next)
    next = range.next
  }
  return ranges.flatMap(({ messages }) => messages)
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test('forgets everything while nobody speaks, heartbeats aside, and goes on with the same sockets', async () => {
  const topic = 'idle'
  const [publisher, subscriber] = await Promise.all([greeted(topic), greeted(topic, { sub: 'bo' })])
  await subscriber.subscribe('now')
  await publisher.publish(1, ['1'])
  await subscriber.delivered(1)
  const woken = vi.spyOn(SqliteStore.prototype, 'load')

  // The platform takes the memory of an object away that had no event for ten seconds.
  for (let beat = 0; beat < 10; beat++) {
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    subscriber.send(HEARTBEAT.ask)
  }
  await vi.waitFor(() => expect(subscriber.texts.filter((text) => text === HEARTBEAT.answer)).toHaveLength(10), {
    timeout: 30_000,
  })
  expect(woken).not.toHaveBeenCalled()
  await publisher.publish(2, ['2'])

  expect(woken).toHaveBeenCalledOnce()
  expect(messagesOf(await subscriber.delivered(2))).toEqual([1, 2])
})

test('goes on in the middle of a stream with sockets that hibernated', async () => {
  const topic = 'stream/hibernated'
  const [publisher, live, behind] = await Promise.all([greeted(topic), greeted(topic), greeted(topic)])
  await live.subscribe('now')
  await behind.subscribe('now', { window: 100 })
  const woken = vi.spyOn(SqliteStore.prototype, 'load')

  const acks: Promise<unknown>[] = []
  for (let frame = 0; frame < 40; frame++) {
    acks.push(publisher.publish(frame * 10 + 1, numbers(frame * 10, frame * 10 + 10).map(String)))
    if (frame % 4 === 3) await evict(topic)
    if (frame === 20) behind.credit(1024 * 1024)
  }
  await Promise.all(acks)

  expect(woken.mock.calls.length).toBeGreaterThanOrEqual(9)
  expect(messagesOf(await live.delivered(400))).toEqual(numbers(0, 400))
  expect(messagesOf(await behind.delivered(400))).toEqual(numbers(0, 400))
})

test('goes on in the middle of a stream with new sockets after they were closed', async () => {
  const topic = 'stream/closed'
  const seen: unknown[] = []
  const offsets = new Map<number, number>()
  let from: unknown = 'start'
  let sequence = 1

  for (let round = 0; round < 8; round++) {
    const client = await greeted(topic)
    const { cursor, gap } = (await client.subscribe(from)).result as { cursor: string; gap?: object }
    expect(gap).toBeUndefined()
    for (let first = sequence; first < sequence + 40; first += 10)
      client.publish(first, numbers(first, first + 10).map(String))
    await client.delivered(seen.length + 10)
    await evict(topic, 'close')
    await client.closed

    const ranges = client.frames.filter(({ method }) => method === 'deliver').map(({ params }) => params as Delivered)
    seen.push(...messagesOf(ranges, seen.length))
    from = cursor.slice(0, -16) + String(seen.length).padStart(16, '0')
    for (const { first, count, offset } of client.frames.flatMap(fatesOf)) {
      for (let i = 0; i < count; i++) offsets.set(first + i, offset + i)
    }
    while (offsets.has(sequence)) sequence++
  }
  const last = await greeted(topic)
  await last.subscribe('start')
  const stored = messagesOf(await last.delivered(seen.length))

  // Each message once, in the order of its sequence, at the offset that was acked.
  expect(stored).toEqual(numbers(1, stored.length + 1))
  expect(seen).toEqual(stored.slice(0, seen.length))
  for (const [number, offset] of offsets) expect(stored[offset]).toBe(number)
})

test('sends a page once, also if memory is lost between the page and the credit for it', async () => {
  const topic = 'pages'
  const [publisher, reader] = await Promise.all([greeted(topic), greeted(topic)])
  const payload = JSON.stringify('x'.repeat(200_000))
  for (let i = 1; i <= 8; i++) await publisher.publish(i, [payload])
  await reader.subscribe('start', { window: 300_000 })
  const [first] = await reader.delivered(2)

  await evict(topic)
  await publisher.publish(9, ['"last"'])
  expect(reader.frames.filter(({ method }) => method === 'deliver')).toHaveLength(1)
  reader.credit((first as Delivered).through + 1024 * 1024)
  await evict(topic)
  reader.credit((first as Delivered).through + 2 * 1024 * 1024)

  expect(messagesOf(await reader.delivered(9))).toHaveLength(9)
})

test('reads nothing for readers without credit when it wakes', async () => {
  const topic = 'waiting'
  const [publisher, reader] = await Promise.all([greeted(topic), greeted(topic)])
  await reader.subscribe('start', { window: 1 })
  await publisher.publish(1, ['1', '2'])
  await publisher.publish(3, ['3'])
  await reader.delivered(2)
  await evict(topic)
  const reads = vi.spyOn(SqliteStore.prototype, 'read')

  await publisher.publish(4, ['4'])

  expect(reads).not.toHaveBeenCalled()
  expect(reader.frames.filter(({ method }) => method === 'deliver')).toHaveLength(1)
})

test('sends links away whose state was written by a version that it does not know', async () => {
  const topic = 'versions'
  const client = await greeted(topic)
  await runInDurableObject(stubOf(topic), (_, state) => {
    for (const socket of state.getWebSockets()) socket.serializeAttachment([99, { anything: true }])
  })
  await evict(topic)

  client.hello()

  expect(await client.closed).toEqual({ code: 4011, reason: 'internal' })
  expect(client.frames.at(-1)).toMatchObject({ method: 'goodbye', params: { code: 'internal' } })
})

interface Fate {
  readonly first: number
  readonly count: number
  readonly offset: number
}

const fatesOf = ({ result }: { result?: unknown }) => (result as { fates?: Fate[] } | undefined)?.fates ?? []

/** It may be asleep already, or still; then an event that is on its way to it wakes it. */
function evict(topic: string, webSockets: 'close' | 'hibernate' = 'hibernate'): Promise<void> {
  return vi.waitFor(() => evictDurableObject(stubOf(topic), { webSockets }), { interval: 1, timeout: 30_000 })
}
