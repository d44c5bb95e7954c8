import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { TopicHome } from '@messkit/sdk/broker'
import { LIMITS } from '@messkit/sdk/protocol'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { Client, makeToken, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

/** What a topic costs, by the counter that the platform bills by. */
const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
const stubOf = (topic: string) => settings.TOPICS.getByName(`topic:main:${topic}`)
/** 64 bytes, as in the benches. */
const PAYLOAD = JSON.stringify({ text: 'x'.repeat(53) })

beforeAll(() => {
  settings.TOKEN_SECRET = SECRET
})

let restore: (() => void)[] = []
afterEach(() => {
  for (const undo of restore) undo()
  restore = []
})

async function greeted(topic: string, claims = {}): Promise<Client> {
  const client = new Client(await worker.fetch(upgradeRequest(topic, await makeToken(claims)), settings), topic)
  await client.hello()
  return client
}

type Method = (...values: unknown[]) => unknown

/** Replaces a method of all objects of a class, also of those that are made later. */
function replace(prototype: object, name: string, make: (original: Method) => Method): void {
  const methods = prototype as Record<string, Method>
  const original = methods[name] as Method
  methods[name] = function (this: unknown, ...values) {
    return make(original.bind(this))(...values)
  }
  restore.push(() => {
    methods[name] = original
  })
}

function prototypesOf(topic: string): Promise<{ sql: object; storage: object }> {
  return runInDurableObject(stubOf(topic), (_, { storage }) => ({
    sql: Object.getPrototypeOf(storage.sql),
    storage: Object.getPrototypeOf(storage),
  }))
}

interface Rows {
  read: number
  written: number
}

/** Counts from now on. A cursor knows its figures once its statement has run, which is at the latest when the next one begins. */
async function countRows(topic: string): Promise<() => Rows> {
  const sum = { read: 0, written: 0 }
  let last: SqlStorageCursor<Record<string, SqlStorageValue>> | undefined
  const settle = (): Rows => {
    sum.read += last?.rowsRead ?? 0
    sum.written += last?.rowsWritten ?? 0
    last = undefined
    return { ...sum }
  }
  const { sql, storage } = await prototypesOf(topic)
  replace(sql, 'exec', (exec) => (...values) => {
    settle()
    last = exec(...values) as typeof last
    return last
  })
  replace(storage, 'setAlarm', (setAlarm) => (...values) => {
    sum.written++
    return setAlarm(...values)
  })
  return settle
}

test('writes one row for a message that is alone', async () => {
  const rows = await countRows('rows/alone')
  const client = await greeted('rows/alone')
  const count = 1_000

  for (let i = 1; i <= count; i++) await client.publish(i, [PAYLOAD])

  const { written } = rows()
  expect(written / count).toBeLessThanOrEqual(1.05)
})

test('writes one row for many that come together', async () => {
  const rows = await countRows('rows/together')
  const client = await greeted('rows/together')
  const count = 100_000

  const inFlight: Promise<unknown>[] = []
  for (let first = 1; first <= count; first += 500) {
    inFlight.push(client.publish(first, Array(500).fill(PAYLOAD)))
    if (inFlight.length === 4) await inFlight.shift()
  }
  await Promise.all(inFlight)

  const { written } = rows()
  expect(written / count).toBeLessThanOrEqual(0.02)
})

test('writes one row per commit for many slow clients', async () => {
  const topic = 'rows/slow'
  const rows = await countRows(topic)
  const clients = await Promise.all(Array.from({ length: 100 }, (_, i) => greeted(topic, { sub: `user-${i}` })))
  const beats = await slowCommits(topic)
  const count = 2_000

  const acks: Promise<unknown>[] = []
  for (let i = 0; i < count; i++) {
    const client = clients[i % 100] as Client
    acks.push(client.publish(Math.floor(i / 100) + 1, [PAYLOAD], `publisher-${i % 100}`))
    await beats.pass(client)
  }
  const all = Promise.all(acks).then(() => true)
  while (!(await Promise.race([all, beats.pass(clients[0] as Client)])));

  const { written } = rows()
  expect(written / count).toBeLessThanOrEqual(0.12)
  // Not so few that the emulation would be wrong.
  expect(written / count).toBeGreaterThan(0.08)
})

/**
 * A beat stands for a millisecond: a commit takes ten of them, and each of a hundred clients publishes every hundredth. Time passes when the
 * object gets a frame, since only there a promise of the object can be fulfilled.
 */
async function slowCommits(topic: string): Promise<{ pass: (client: Client) => Promise<void> }> {
  let beat = 0
  let finish: { at: number; done: () => void } | undefined
  const { storage } = await prototypesOf(topic)
  replace(storage, 'sync', (sync) => async () => {
    await new Promise<void>((done) => {
      finish = { at: beat + 10, done }
    })
    finish = undefined
    await sync()
  })
  replace(TopicHome.prototype, 'receive', (receive) => (...values) => {
    receive(...values)
    if (finish && finish.at <= beat) finish.done()
  })
  return {
    pass: async (client) => {
      beat++
      // What was sent before this question has arrived when it is answered.
      await client.ask('unsubscribe', { topic, subscription: 1 })
    },
  }
}

test('reads a bounded number of rows when it wakes to a million messages', async () => {
  const topic = 'rows/million'
  const writer = await greeted(topic)
  const lines = Array(1_000).fill(PAYLOAD)
  for (let first = 1; first <= 1_000_000; first += 1_000) await writer.publish(first, lines)
  await evictDurableObject(stubOf(topic))
  const rows = await countRows(topic)
  await evictDurableObject(stubOf(topic))

  await writer.publish(1_000_001, [PAYLOAD])
  const { read, written } = rows()

  expect(read).toBeLessThanOrEqual(LIMITS.checkpointChunks + 50)
  expect(written).toBeLessThanOrEqual(2)
  const reader = await greeted(topic)
  expect((await reader.subscribe({ last: 1 })).result).toMatchObject({
    cursor: expect.stringMatching(/_0000000001000000$/),
  })
})
