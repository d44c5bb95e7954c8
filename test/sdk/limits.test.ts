import { createMess, type Mess, type OutboxEntry } from '@messkit/sdk'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

const POLICY = [
  // A burst that is used up at once, and one more every tenth of a second.
  'acl allow all publish topic name="rate/#" limit-rate=10/s',
  'acl allow all publish topic name="size" limit-bytes=20',
  'acl allow all subscribe topic name="one" limit-subscriptions=1',
  'acl allow user:guest connect server limit-connections=1',
  'acl allow all all topic from=all',
].join('\n')

let server: TestServer
let topics = 0
beforeAll(async () => {
  server = await runServer({ POLICY })
})
afterAll(() => server.end())

function open(user = 'ana'): Mess {
  const mess = createMess({
    url: server.url,
    user,
    token: () => makeToken({ sub: user }),
    reconnect: { minMs: 10, maxMs: 50 },
  })
  mess.on('error', () => {})
  onTestFinished(async () => void (await mess.close()))
  return mess
}

test('what is published too fast waits, and is stored once, in order, and never refused', async () => {
  const mess = open()
  const refused: OutboxEntry[] = []
  mess.on('refused', (entry) => refused.push(entry))
  const topic = mess.topic<number>(`rate/${++topics}`)

  const burst = Array.from({ length: 15 }, (_, i) => topic.publish(i))
  await burst[9]
  const behind = Array.from({ length: 5 }, (_, i) => topic.publish(15 + i))
  const acks = await Promise.all([...burst, ...behind])
  const { messages } = await topic.history()

  expect(acks.map(({ offset, duplicate }) => [offset, duplicate])).toEqual(acks.map((_, i) => [i, false]))
  expect(messages.map(({ data }) => data)).toEqual(acks.map((_, i) => i))
  expect(refused).toEqual([])
  // Ten at once, and the others not before time has paid for them.
  const [first, last] = [messages[0]?.at, messages.at(-1)?.at]
  expect(Number(last) - Number(first)).toBeGreaterThanOrEqual(1_000 - 1)
})

test('two clients of one user share what the user may publish', async () => {
  const [one, other] = [open(), open()]
  const name = `rate/${++topics}`

  const acks = [one, other].flatMap((mess) => Array.from({ length: 10 }, (_, i) => mess.topic(name).publish(i)))
  await Promise.all(acks)
  const { messages } = await one.topic(name).history()

  expect(messages).toHaveLength(20)
  expect(Number(messages.at(-1)?.at) - Number(messages[0]?.at)).toBeGreaterThanOrEqual(1_000 - 1)
})

test('a message that is larger than its user may publish is set aside, and those behind it go on', async () => {
  const topic = open().topic('size')

  const [small, large, next] = [topic.publish('a'), topic.publish('x'.repeat(19)), topic.publish('b')]
  const error = await large.then(
    () => undefined,
    (reason: unknown) => reason,
  )

  expect(error).toMatchObject({ name: 'RefusedError', code: 'message_too_large', retryable: false })
  expect([(await small).offset, (await next).offset]).toEqual([0, 1])
})

test('one subscription too many of a client fails, and the first one goes on', async () => {
  const topic = open().topic<string>('one')
  const got: string[] = []
  const first = topic.subscribe(({ data }) => void got.push(data))
  await first.ready

  const second = topic.subscribe(() => {})
  const error = await second.ready.catch((reason: unknown) => reason)
  await open('bo').topic('one').publish('still here')
  await expect.poll(() => got).toEqual(['still here'])

  expect(error).toMatchObject({ code: 'too_many_subscriptions' })
})

test('a subscription that another client of the user is in the way of begins when that one ends', async () => {
  const [first, second] = [open('cy'), open('cy')]
  const got: string[] = []
  const held = first.topic('one').subscribe(() => {})
  await held.ready

  const waits = second.topic<string>('one').subscribe(({ data }) => void got.push(data), { from: 'start' })
  // Asked for after the subscription, so that was turned away by then.
  await second.topic('one').publish('of the second')
  const { cursor } = await first.topic('one').publish('for both')
  held.stop()
  await waits.ready

  await expect.poll(() => waits.cursor).toBe(cursor)
  expect(got.at(-1)).toBe('for both')
})

test('a client for which there is no room yet comes in when there is, and loses nothing', async () => {
  const [first, second] = [open('guest'), open('guest')]
  await first.topic('room').publish('first')

  const receipt = second.topic('room').publish('second')
  await expect.poll(() => second.status.connection).toBe('offline')
  await first.close()
  const ack = await receipt

  expect(ack.offset).toBe(1)
})

test('a client that waits for another one’s subscription goes on publishing meanwhile', async () => {
  const [first, second] = [open('dee'), open('dee')]
  const held = first.topic('one').subscribe(() => {})
  await held.ready
  const waits = second.topic('one').subscribe(() => {})

  const acks = [await second.topic('one').publish('in spite of it'), await second.topic('one').publish('and again')]

  expect(acks.map(({ duplicate }) => duplicate)).toEqual([false, false])
  expect(second.status.connection).toBe('online')
  held.stop()
  await waits.ready
})
