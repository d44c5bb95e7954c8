import { createMess, type Mess, type MessOptions, type OutboxEntry, RefusedError } from '@messkit/sdk'
import { LIMITS } from '@messkit/sdk/protocol'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { eventually } from '../support/eventually.ts'
import { runProxy, type TestProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'
import { failure } from './behaviour.suite.ts'

let server: TestServer
beforeAll(async () => {
  server = await runServer()
})
afterAll(() => server.end())

let lastTopic = 0
const newTopic = () => `connection/${++lastTopic}`

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

describe('a connection that breaks', () => {
  test('a message that was stored and whose ack was lost is stored once, and told where', async () => {
    const proxy = await proxied()
    const topic = open(proxy.url).topic<string>(newTopic())
    await topic.publish('first')
    proxy.down.blackHole = true

    const receipt = topic.publish('second')
    await eventually(async () => expect(await read(topic.name)).toEqual(['first', 'second']))
    proxy.down.blackHole = false
    proxy.cut('reset')

    expect(await receipt).toMatchObject({ duplicate: true, offset: 1 })
    expect(await topic.publish('third')).toMatchObject({ duplicate: false, offset: 2 })
    expect(await read(topic.name)).toEqual(['first', 'second', 'third'])
  })

  test('the same when the server dies before it can tell', async () => {
    const { server, proxy } = await ownServer()
    const topic = open(proxy.url).topic<string>(newTopic())
    await topic.publish('first')
    proxy.down.blackHole = true

    const receipt = topic.publish('second')
    await eventually(async () => expect(await read(topic.name, server)).toEqual(['first', 'second']))
    await server.kill()
    proxy.down.blackHole = false
    await server.restart()

    expect(await receipt).toMatchObject({ duplicate: true, offset: 1 })
    expect(await read(topic.name, server)).toEqual(['first', 'second'])
  })

  test('subscriptions go on where they stopped, whatever happened meanwhile', async () => {
    const proxy = await proxied()
    const name = newTopic()
    const { subscription, until } = collect(open(proxy.url).topic<number>(name))
    await subscription.ready
    const topic = open(server.url).topic<number>(name)

    for (const round of numbers(5)) {
      await topic.publish(2 * round)
      await until(numbers(2 * round + 1))
      proxy.refusing = true
      proxy.cut(round % 2 === 0 ? 'reset' : 'end')
      await eventually(() => expect(subscription.state).toBe('paused'))
      await topic.publish(2 * round + 1)
      proxy.refusing = false
    }

    await until(numbers(10))
    await eventually(() => expect(subscription.state).toBe('live'))
  })

  test('a handler that takes its time sees each message once, however often the connection breaks meanwhile', async () => {
    const proxy = await proxied()
    const name = newTopic()
    const topic = open(server.url).topic<string>(name)
    const released = Promise.withResolvers<void>()
    const seen: number[] = []
    const subscription = open(proxy.url)
      .topic<string>(name)
      .subscribe(async ({ data }) => {
        await released.promise
        seen.push(Number(data.split(' ')[0]))
      })
    await subscription.ready

    // Three windows, of which one is received and none is handled.
    for (const round of numbers(3)) {
      await Promise.all(numbers(20).map((i) => topic.publish(`${20 * round + i} ${'x'.repeat(50_000)}`)))
      const { count } = proxy
      proxy.cut('reset')
      // It is paused until then, which may be too short to be seen.
      await eventually(() => expect(proxy.count).toBeGreaterThan(count))
      await eventually(() => expect(subscription.state).toBe('catching-up'))
    }
    expect(seen).toEqual([])
    released.resolve()

    await eventually(() => expect(seen).toHaveLength(60))
    expect(seen).toEqual(numbers(60))
    await eventually(() => expect(subscription.state).toBe('live'))
  })

  test('what was published while there was no server is stored in order once there is one', async () => {
    const { server, proxy } = await ownServer()
    const mess = open(proxy.url)
    const topic = mess.topic<number>(newTopic())
    await server.kill()

    const receipts = numbers(5_000).map((number) => topic.publish(number))
    await eventually(() => expect(mess.status).toMatchObject({ connection: 'offline', unsent: 5_000 }))
    await server.restart()

    expect((await Promise.all(receipts)).map(({ offset }) => offset)).toEqual(numbers(5_000))
    expect(mess.status).toMatchObject({ connection: 'online', unsent: 0 })
  })

  test('what was asked while there was no server is answered once there is one, or given up by its signal', async () => {
    const { server, proxy } = await ownServer()
    const topic = open(proxy.url).topic<number>(newTopic())
    await topic.publish(1)
    await server.kill()
    const controller = new AbortController()

    const pages = [topic.history(), topic.history({ signal: controller.signal })]
    controller.abort(new Error('enough'))
    await expect(pages[1]).rejects.toThrow('enough')
    await server.restart()

    expect((await pages[0])?.messages.map(({ data }) => data)).toEqual([1])
  })

  test('status tells of it', async () => {
    const proxy = await proxied()
    const mess = open(proxy.url)
    const told: string[] = []
    mess.on('status', ({ connection }) => {
      if (told.at(-1) !== connection) told.push(connection)
    })
    const { subscription } = collect(mess.topic<number>(newTopic()))

    await subscription.ready
    proxy.refusing = true
    proxy.cut('reset')
    await eventually(() => expect(mess.status.connection).toBe('offline'))
    proxy.refusing = false
    await eventually(() => expect(mess.status.connection).toBe('online'))
    await mess.close()

    expect(told.slice(0, 3)).toEqual(['connecting', 'online', 'offline'])
    expect(told.slice(-2)).toEqual(['online', 'closed'])
  })

  test('a connection that nobody needs any more is let go, and made anew when somebody does', {
    timeout: 40_000,
  }, async () => {
    const proxy = await proxied()
    const topic = open(proxy.url).topic<number>(newTopic())

    await topic.publish(1)
    await topic.history()
    expect(proxy.open).toBe(1)
    await eventually(() => expect(proxy.open).toBe(0))

    expect(await topic.publish(2)).toMatchObject({ offset: 1, duplicate: false })
    expect(proxy.count).toBe(2)
  })
})

describe('a gap', () => {
  test('whose handler takes its time over a reconnect keeps nobody busy', async () => {
    // Everything is too old at once, so the gap reaches to the end and is all that is sent.
    const { proxy } = await ownServer({ RETENTION: '{"ageMs":1}' })
    const topic = open(proxy.url).topic<string>(newTopic())
    const { cursor } = await topic.publish('first')
    await Promise.all(numbers(30).map(() => topic.publish('x'.repeat(100_000))))
    const askedFor = async (pages: number): Promise<number> => {
      const before = proxy.up.bytes
      for (let i = 0; i < pages; i++) await topic.history()
      return proxy.up.bytes - before
    }
    const alone = await askedFor(20)
    const handled = Promise.withResolvers<void>()
    const gaps: number[] = []
    const onGap = ({ to }: { to: number }) => {
      gaps.push(to)
      return handled.promise
    }
    topic.subscribe(() => {}, { from: cursor as NonNullable<typeof cursor>, onGap })
    await eventually(() => expect(gaps).toEqual([31]))

    proxy.cut('reset')
    await eventually(() => expect(proxy.count).toBe(2))
    await topic.history()

    expect(await askedFor(20)).toBeLessThan(alone + 200)
    handled.resolve()
  })
})

describe('waiting for an ack', () => {
  test.each(['waitMs', 'signal'])('%s ends the waiting and never the message', async (how) => {
    const { server, proxy } = await ownServer()
    const mess = open(proxy.url)
    const topic = mess.topic<string>(newTopic())
    await topic.publish('first')
    await server.kill()

    const reason = new Error('impatient')
    const options = how === 'waitMs' ? { waitMs: 5 } : { signal: AbortSignal.abort(reason) }
    const receipt = topic.publish('second', options)

    const error = failure('not_acked_yet', 'message')
    await expect(receipt).rejects.toThrow(error)
    await expect(receipt).rejects.toMatchObject({ retryable: true, cause: how === 'waitMs' ? undefined : reason })
    expect(await mess.outbox.list()).toEqual([
      { id: receipt.id, topic: topic.name, state: 'waiting', error: undefined },
    ])
    await server.restart()
    await eventually(() => expect(mess.status.unsent).toBe(0))
    expect(await read(topic.name, server)).toEqual(['first', 'second'])
  })

  test('a receipt that is given up and that nobody looks at ends no process', async () => {
    const { server, proxy } = await ownServer()
    const mess = open(proxy.url)
    const topic = mess.topic<number>(newTopic())
    await server.kill()

    topic.publish(1, { waitMs: 1 })
    topic.publish(2)
    await expect(topic.publish(3, { waitMs: 5 })).rejects.toThrow(failure('not_acked_yet'))
    await mess.close()
    await new Promise(setImmediate) // vitest fails on a rejection that nobody handled
  })

  test('close() waits as long as it is told, and says what is unsent', async () => {
    const { server, proxy } = await ownServer()
    const mess = open(proxy.url)
    const topic = mess.topic<number>(newTopic())
    await server.kill()
    const receipt = topic.publish(1)
    const refused = expect(receipt).rejects.toThrow(failure('closed', 'message'))

    expect(await mess.close({ waitMs: 20 })).toEqual({ unsent: 1 })

    await refused
  })

  test('close() ends its waiting with the last ack', async () => {
    const mess = open(server.url)
    const topic = mess.topic<number>(newTopic())
    const receipts = numbers(100).map((number) => topic.publish(number))

    expect(await mess.close({ waitMs: 600_000 })).toEqual({ unsent: 0 })

    expect((await Promise.all(receipts)).map(({ offset }) => offset)).toEqual(numbers(100))
  })
})

describe('a message that the server refuses', () => {
  /** Good when it is looked at, and too deep when it is written: the client's check is a courtesy, the server's is what counts. */
  function sly(): unknown {
    let deep: unknown = []
    for (let level = 0; level < 70; level++) deep = [deep]
    let looked = false
    return {
      toJSON() {
        if (looked) return deep
        looked = true
        return 'harmless'
      },
    }
  }

  test('is set aside with its reason, and blocks none behind it', async () => {
    const mess = open(server.url)
    const refused: OutboxEntry[] = []
    mess.on('refused', (entry) => refused.push(entry))
    const topic = mess.topic<unknown>(newTopic())

    const receipts = ['first', sly(), 'second', sly(), 'third'].map((data) => topic.publish(data))
    const fates = await Promise.allSettled(receipts)

    expect(fates.map((fate) => (fate.status === 'fulfilled' ? fate.value.offset : fate.reason.code))).toEqual([
      0,
      'too_deep',
      1,
      'too_deep',
      2,
    ])
    expect(fates[1]).toMatchObject({ reason: expect.any(RefusedError) })
    expect(fates[1]).toMatchObject({ reason: { id: receipts[1]?.id, retryable: false, scope: 'message' } })
    expect(await read(topic.name)).toEqual(['first', 'second', 'third'])
    const entry = (i: number) => ({
      id: receipts[i]?.id,
      topic: topic.name,
      state: 'refused',
      error: failure('too_deep', 'message'),
    })
    expect(refused).toEqual([entry(1), entry(3)])
    expect(await mess.outbox.list()).toEqual([entry(1), entry(3)])
    expect(mess.status).toMatchObject({ unsent: 0, refused: 2 })
  })

  test('and that nobody awaits is an event and no unhandled rejection', async () => {
    const mess = open(server.url)
    const refused: string[] = []
    mess.on('refused', ({ id }) => refused.push(id))
    const topic = mess.topic<unknown>(newTopic())

    const { id } = topic.publish(sly())
    await topic.publish('behind')

    await eventually(() => expect(refused).toEqual([id]))
  })

  test('can be discarded, or tried again behind all others', async () => {
    const mess = open(server.url)
    const topic = mess.topic<unknown>(newTopic())
    const receipts = [topic.publish(sly()), topic.publish(sly())]
    await Promise.allSettled(receipts)
    const [first, second] = receipts.map(({ id }) => id) as [string, string]

    expect(await mess.outbox.discard(first)).toBe(true)
    expect(await mess.outbox.discard(first)).toBe(false)
    expect((await mess.outbox.list()).map(({ id }) => id)).toEqual([second])
    await topic.publish('between')
    const again = mess.outbox.retry(second)
    await expect(again).rejects.toThrow(failure('too_deep', 'message'))

    expect((await mess.outbox.list()).map(({ state }) => state)).toEqual(['refused'])
    expect(mess.status).toMatchObject({ unsent: 0, refused: 1 })
    expect(await topic.publish('after')).toMatchObject({ offset: 1 })
  })

  test('a listener that throws does not hold up what comes behind', async () => {
    const mess = open(server.url)
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const thrown: string[] = []
    process.on('uncaughtException', ({ message }) => thrown.push(message))
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    })
    mess.on('refused', () => {
      throw new Error('listener')
    })
    const topic = mess.topic<unknown>(newTopic())

    const receipts = [topic.publish(sly()), topic.publish('behind')]
    await Promise.allSettled(receipts)

    expect(await receipts[1]).toMatchObject({ offset: 0 })
    await eventually(() => expect(thrown).toEqual(['listener']))
  })
})

describe('the outbox', () => {
  test('holds so many messages, and says when it is full', { timeout: 60_000 }, async () => {
    const { server, proxy } = await ownServer()
    await server.kill()
    const mess = open(proxy.url)
    const topic = mess.topic<number>(newTopic())
    const receipts = numbers(LIMITS.outboxMessages).map((number) => topic.publish(number))

    expect(() => topic.publish(-1)).toThrow(failure('outbox_full', 'mess'))
    expect(() => mess.topic<number>(newTopic()).publish(-1)).toThrow(failure('outbox_full', 'mess'))
    expect(mess.status.unsent).toBe(LIMITS.outboxMessages)
    await server.restart()

    expect(await receipts.at(-1)).toMatchObject({ offset: LIMITS.outboxMessages - 1 })
    expect(await topic.publish(-1)).toMatchObject({ offset: LIMITS.outboxMessages })
  })

  test('holds so many bytes, and says when it is full', async () => {
    const mess = open('http://127.0.0.1:9')
    const topic = mess.topic<string>(newTopic())
    const large = 'x'.repeat(LIMITS.messageBytes - 2)
    for (let bytes = 0; bytes < LIMITS.outboxBytes; bytes += LIMITS.messageBytes) topic.publish(large)

    expect(() => topic.publish('one more')).toThrow(failure('outbox_full', 'mess'))
  })
})

describe('options of a client', () => {
  test('an address that is none is refused at the call', () => {
    for (const url of ['', 'nope', '/relative', 'ftp://example.com', 'file:///tmp', 'javascript:0']) {
      expect(() => createMess({ url })).toThrow(failure('bad_option', 'mess'))
    }
  })

  test('bounds of the wait between attempts that are none are refused at the call', () => {
    for (const reconnect of [
      { minMs: -1, maxMs: 5 },
      { minMs: 10, maxMs: 5 },
      { minMs: Number.NaN, maxMs: 5 },
      { minMs: 1, maxMs: Number.POSITIVE_INFINITY },
    ]) {
      expect(() => createMess({ reconnect })).toThrow(failure('bad_option', 'mess'))
    }
  })

  test('an address may have a path, and the WebSocket protocols of it are as good', async () => {
    const name = newTopic()

    await open(server.url.replace('http:', 'ws:')).topic<number>(name).publish(1)
    await open(`${server.url}/`).topic<number>(name).publish(2)

    expect(await read(name)).toEqual([1, 2])
  })
})

async function proxied(): Promise<TestProxy> {
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  return proxy
}

async function ownServer(vars: Record<string, string> = {}): Promise<{ server: TestServer; proxy: TestProxy }> {
  const server = await runServer(vars)
  onTestFinished(() => server.end())
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  return { server, proxy }
}

function open(url: string, options: MessOptions = {}): Mess {
  const mess = createMess({ url, token: () => makeToken(), reconnect: { minMs: 1, maxMs: 20 }, ...options })
  mess.on('error', () => {}) // or the console is told of those that are meant to happen
  onTestFinished(async () => void (await mess.close()))
  return mess
}

/** What is stored, as a client sees it that had nothing to do with it. */
async function read(name: string, { url } = server): Promise<unknown[]> {
  await using mess = createMess({ url, token: () => makeToken() })
  const { messages } = await mess.topic<unknown>(name).history({ limit: 1_000 })
  return messages.map(({ data }) => data)
}
