import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { encodePublish, encodeRequest, LIMITS } from '@messkit/sdk/protocol'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker, { type TopicObject } from '../../packages/edge/src/index.ts'
import { Client, codeOf, makeToken, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
const stubOf = (topic: string) => settings.TOPICS.getByName(`topic:main:${topic}`)

beforeAll(() => {
  settings.TOKEN_SECRET = SECRET
})

afterEach(() => {
  vi.useRealTimers()
})

async function open(topic: string, claims = {}): Promise<Client> {
  const request = upgradeRequest(topic, await makeToken(claims))
  return new Client(await worker.fetch(request, settings), topic)
}

async function greeted(topic: string, claims = {}): Promise<Client> {
  const client = await open(topic, claims)
  await client.hello()
  return client
}

const seconds = () => Math.floor(Date.now() / 1000)

test('carries a message from a publisher to a subscriber and acks it after', async () => {
  const client = await open('rooms/1')

  const hello = await client.hello()
  const subscribed = await client.subscribe('now')
  const acked = await client.publish(1, ['{"text":"hello"}', '{"text":"you"}'])

  expect(hello.result).toMatchObject({ version: 1, user: 'ana', heartbeatMs: 25_000 })
  expect(subscribed.result).toMatchObject({ cursor: expect.stringMatching(/^[0-9a-z]{16}_0{16}$/) })
  expect(acked.result).toMatchObject({ fates: [{ fate: 'stored', first: 1, count: 2, offset: 0 }] })
  expect(client.frames.map(({ method }) => method)).toEqual([undefined, undefined, 'deliver', undefined])
  expect(await client.delivered(2)).toMatchObject([
    { first: 0, next: 2, messages: [{ text: 'hello' }, { text: 'you' }] },
  ])
})

test('delivers to everybody, replays to who comes later, and answers history', async () => {
  const topic = 'rooms/2'
  const [publisher, live] = await Promise.all([greeted(topic), greeted(topic, { sub: 'bo' })])
  await live.subscribe('now')
  await publisher.publish(1, ['1', '2'])
  await publisher.publish(3, ['3'])

  const late = await greeted(topic, { sub: 'cy' })
  await late.subscribe('start')
  const history = await late.ask('history', { topic, limit: 2, reverse: true })

  const messages = async (client: Client) => (await client.delivered(3)).flatMap((range) => range.messages)
  expect(await messages(live)).toEqual([1, 2, 3])
  expect(await messages(late)).toEqual([1, 2, 3])
  expect(history.result).toMatchObject({ first: 1, next: 3, more: true, messages: [2, 3] })
})

test('keeps topics apart', async () => {
  const [a, b] = await Promise.all([greeted('apart/a'), greeted('apart/b')])
  await b.subscribe('start')

  await a.publish(1, ['"a"'])
  await b.publish(1, ['"b"'])

  expect((await b.delivered(1)).flatMap(({ messages }) => messages)).toEqual(['b'])
  expect(codeOf(await a.ask('subscribe', { topic: 'apart/b', subscription: 1, from: 'now', window: 0 }))).toBe(
    'wrong_topic',
  )
})

test('knows a repeat of the same user and nobody else by it', async () => {
  const topic = 'repeats'
  const first = await greeted(topic)
  await first.publish(1, ['1', '2'])
  const [again, other] = await Promise.all([greeted(topic), greeted(topic, { sub: 'bo' })])

  expect((await again.publish(1, ['1', '2', '3'])).result).toMatchObject({
    fates: [
      { fate: 'duplicate', first: 1, count: 2, offset: 0 },
      { fate: 'stored', first: 3, count: 1, offset: 2 },
    ],
  })
  expect((await other.publish(1, ['1'])).result).toMatchObject({ fates: [{ fate: 'stored', offset: 3 }] })
})

test('answers the heartbeat', async () => {
  const client = await greeted('beats')

  client.send('messkit:ping')
  await vi.waitFor(() => expect(client.texts).toContain('messkit:pong'), { timeout: 30_000 })
})

test('answers a close with 1000, whatever the code was', async () => {
  const clients = await Promise.all([greeted('closing'), greeted('closing')])

  clients[0].close(1000)
  clients[1].close(4321)

  for (const client of clients) expect((await client.closed).code).toBe(1000)
  await runInDurableObject(stubOf('closing'), (_, state) => {
    expect(state.getWebSockets().filter(({ readyState }) => readyState === WebSocket.OPEN)).toEqual([])
  })
})

test('ends a link when its token does, by the alarm', async () => {
  const topic = 'ends'
  const ana = await greeted(topic, { exp: seconds() + 60 })
  const bo = await greeted(topic, { sub: 'bo', exp: seconds() + 120 })
  await bo.subscribe('now')
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })

  expect(await runDurableObjectAlarm(stubOf(topic))).toBe(true)

  expect(await ana.closed).toEqual({ code: 4401, reason: 'token_expired' })
  expect(ana.frames.at(-1)).toMatchObject({ method: 'goodbye', params: { code: 'token_expired' } })
  expect((await bo.publish(1, ['1'])).result).toMatchObject({ fates: [{ fate: 'stored' }] })
  // And the next one is armed.
  vi.setSystemTime(Date.now() + 61_000)
  expect(await runDurableObjectAlarm(stubOf(topic))).toBe(true)
  expect(await bo.closed).toEqual({ code: 4401, reason: 'token_expired' })
})

test('ends a link at the next event if the alarm never rang', async () => {
  const topic = 'late'
  const ana = await greeted(topic, { exp: seconds() + 60 })
  const bo = await greeted(topic, { sub: 'bo' })
  await runInDurableObject(stubOf(topic), (_, state) => state.storage.deleteAlarm())
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })

  await bo.hello()

  expect(await ana.closed).toEqual({ code: 4401, reason: 'token_expired' })
})

test('goes on with a newer token of the same user, and of nobody else', async () => {
  const topic = 'renewed'
  const client = await greeted(topic, { exp: seconds() + 60 })
  const authenticate = async (claims: Record<string, unknown>) =>
    client.ask('authenticate', { token: await makeToken(claims) })

  expect(codeOf(await authenticate({ sub: 'bo' }))).toBe('user_mismatch')
  expect(codeOf(await authenticate({ iss: 'other' }))).toBe('user_mismatch')
  expect(codeOf(await authenticate({ exp: seconds() - 1 }))).toBe('token_expired')
  expect(codeOf(await client.ask('authenticate', { token: 'x' }))).toBe('token_invalid')
  expect(codeOf(await client.ask('authenticate', { token: 'x'.repeat(LIMITS.tokenBytes + 1) }))).toBe('token_too_large')
  const renewed = await authenticate({ exp: seconds() + 3600 })

  const { expiresInMs } = renewed.result as { expiresInMs: number }
  expect(expiresInMs).toBeGreaterThan(3_590_000)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
  await runDurableObjectAlarm(stubOf(topic))
  expect((await client.publish(1, ['1'])).result).toMatchObject({ fates: [{ fate: 'stored' }] })
})

test('sends a client away that speaks before hello, or no version that is spoken here', async () => {
  const early = await open('hello')
  const old = await open('hello')

  expect(codeOf(await early.publish(1, ['1']))).toBe('hello_needed')
  expect(codeOf(await old.ask('hello', { versions: [0, 99] }))).toBe('version_unsupported')

  expect(await early.closed).toEqual({ code: 4502, reason: 'hello_needed' })
  expect(await old.closed).toEqual({ code: 4500, reason: 'version_unsupported' })
})

test('ends no event before what it began is durable and told, and keeps nobody else waiting', async () => {
  const topic = 'lasting'
  for (const client of [await greeted(topic), await greeted(topic)]) await client.subscribe('now')
  const order: string[] = []

  await runInDurableObject(stubOf(topic), async (object: TopicObject, state) => {
    const flush = Promise.withResolvers<void>()
    vi.spyOn(state.storage, 'sync').mockImplementationOnce(() => flush.promise)
    const [from, to] = state.getWebSockets() as [WebSocket, WebSocket]
    vi.spyOn(to, 'send').mockImplementation((text) => order.push(JSON.parse(text as string).method ?? 'answer'))
    const frame = (sequence: number) =>
      encodePublish(9, { topic, publisher: 'publisher', after: sequence - 1, first: sequence }, '1')

    const first = object.webSocketMessage(from, frame(1)).then(() => order.push('first ended'))
    const second = object.webSocketMessage(from, frame(2)).then(() => order.push('second ended'))
    const third = object.webSocketMessage(to, encodeRequest(8, 'unsubscribe', { topic, subscription: 99 }))
    await scheduler.wait(5)
    order.push('durable')
    flush.resolve()
    await Promise.all([first, second, third])
  })

  expect(order).toEqual(['answer', 'durable', 'deliver', 'deliver', 'first ended', 'second ended'])
})

test('keeps of a topic what the deployment asks for', async () => {
  const topic = 'kept'
  settings.RETENTION = '{"messages":10}'
  const client = await greeted(topic)
  // Each fills a row by itself, and rows are deleted when there are enough of them for it to be worth it.
  const large = JSON.stringify('x'.repeat(5_000))

  for (let i = 1; i <= 100; i++) await client.publish(i, [large])

  expect((await client.subscribe('start')).result).toMatchObject({ cursor: expect.stringMatching(/_0+90$/) })
  const rows = await runInDurableObject(stubOf(topic), (_, { storage }) =>
    storage.sql.exec('select first from chunk').toArray(),
  )
  expect(rows.length).toBeLessThan(10 + LIMITS.trimSegments)
  delete settings.RETENTION
})

test('takes no more links than a topic may have', async () => {
  const topic = 'crowded'
  const limits = LIMITS as { linksPerTopic: number }
  const usual = limits.linksPerTopic
  limits.linksPerTopic = 2
  const [first] = await Promise.all([greeted(topic), greeted(topic)])

  const third = await open(topic)
  expect(codeOf(await third.next(() => true))).toBe('too_many_links')
  expect(await third.closed).toEqual({ code: 4009, reason: 'too_many_links' })

  first.close()
  await first.closed
  expect((await greeted(topic)).frames).toHaveLength(1)
  limits.linksPerTopic = usual
})

test('remembers the largest link that there can be', async () => {
  const topic = 'large'
  const client = await greeted(topic, { sub: '\u0001'.repeat(256), iss: 'x'.repeat(2_000) })

  for (let i = 0; i < LIMITS.subscriptionsPerLink; i++) {
    const { error } = await client.subscribe('start', { subscription: 0xffff_ffff - i, window: LIMITS.creditBytes })
    expect(error).toBeUndefined()
  }

  expect(codeOf(await client.subscribe('start', { subscription: 1 }))).toBe('too_many_subscriptions')
  expect((await client.publish(1, ['1'])).result).toMatchObject({ fates: [{ fate: 'stored' }] })
})

test('a token whose user could not be remembered is refused, and nobody else on the topic is hurt by it', async () => {
  const topic = 'too-large'
  const large = { sub: '\u0001'.repeat(200), iss: '\u00e9'.repeat(2_000) }
  const witness = await greeted(topic)

  const client = await open(topic, large)
  const renewed = await witness.ask('authenticate', { token: await makeToken({ iss: large.iss }) })

  expect(codeOf(await client.next(() => true))).toBe('token_too_large')
  expect(codeOf(renewed)).toBe('token_too_large')
  expect((await witness.publish(1, ['1'])).result).toMatchObject({ fates: [{ fate: 'stored' }] })
})

test('queues its credit and one frame for a reader that stops, and reads the rest from the log when it goes on', async () => {
  const topic = 'slow'
  const [publisher, quick, slow] = await Promise.all([greeted(topic), greeted(topic), greeted(topic)])
  await quick.subscribe('now')
  await slow.subscribe('now')
  quick.creditAlways()
  const lines = Array(4).fill(JSON.stringify('x'.repeat(100_000)))
  const count = 80

  for (let first = 1; first <= count; first += 4) await publisher.publish(first, lines)

  const ends = (await quick.delivered(count)).map(({ next }) => next)
  expect(ends.at(-1)).toBe(count)
  const queued = slow.texts.reduce((bytes, text) => bytes + text.length, 0)
  expect(queued).toBeGreaterThan(LIMITS.creditBytes / 2)
  expect(queued).toBeLessThanOrEqual(LIMITS.creditBytes + LIMITS.frameBytes)
  slow.creditAlways()
  const ranges = await slow.delivered(count)
  expect(ranges.every(({ first }, i) => first === (ranges[i - 1]?.next ?? 0))).toBe(true)
})

test('loads the log anew after a failed commit, and loses and doubles nothing', async () => {
  const topic = 'failing'
  const log = vi.spyOn(console, 'error').mockImplementation(() => {})
  const client = await greeted(topic)
  await client.publish(1, ['1'])
  await runInDurableObject(stubOf(topic), (_, { storage }) => {
    // The next write alone fails, as it does when the account's room is used up.
    storage.transactionSync = () => {
      delete (storage as { transactionSync?: unknown }).transactionSync
      throw new Error('database or disk is full: SQLITE_FULL')
    }
  })

  client.publish(2, ['2', '3'])

  expect(await client.closed).toEqual({ code: 4007, reason: 'store_full' })
  expect(client.frames.at(-1)).toMatchObject({ method: 'goodbye', params: { code: 'store_full' } })
  expect(log).toHaveBeenCalledOnce()
  const back = await greeted(topic)
  expect((await back.publish(1, ['1', '2', '3'])).result).toMatchObject({
    fates: [
      { fate: 'duplicate', first: 1, count: 1, offset: 0 },
      { fate: 'stored', first: 2, count: 2, offset: 1 },
    ],
  })
  log.mockRestore()
})
