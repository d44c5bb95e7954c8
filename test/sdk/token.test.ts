import { type AskToken, createMess, type Mess, type MessError, type MessOptions } from '@messkit/sdk'
import { LIMITS } from '@messkit/sdk/protocol'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { eventually } from '../support/eventually.ts'
import { runProxy, type TestProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'
import { failure } from './behaviour.suite.ts'

let server: TestServer
beforeAll(async () => {
  server = await runServer({ TOKEN_AUDIENCE: 'messkit' })
})
afterAll(() => server.end())

let lastTopic = 0
const newTopic = () => `token/${++lastTopic}`

const good = (claims: object = {}) => makeToken({ aud: 'messkit', ...claims })
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds

describe('a token that expires', () => {
  test('is renewed on the live connection, and nobody notices', { timeout: 40_000 }, async () => {
    const { mess, proxy, asked } = await client(() => good({ exp: inSeconds(3) }))
    const topic = mess.topic<number>(newTopic())
    const { subscription, until } = collect(topic)
    await subscription.ready
    const expiredAt = Date.now() + 3_500

    let count = 0
    await eventually(async () => {
      await topic.publish(count++)
      expect(Date.now()).toBeGreaterThan(expiredAt)
    })

    await until(Array.from({ length: count }, (_, i) => i))
    expect(asked.length).toBeGreaterThan(1)
    expect(asked).toEqual(['first', ...asked.slice(1).map(() => 'expiring')])
    expect(proxy.count).toBe(1)
  })

  test('while there is no other is asked for once more when the server has ended the connection', {
    timeout: 40_000,
  }, async () => {
    const { mess, proxy, asked, errors } = await client((_, call) => {
      if (call === 2) throw new Error('the login server is down')
      return good({ exp: inSeconds(call === 1 ? 2 : 60) })
    })
    const topic = mess.topic<string>(newTopic())
    const { subscription, until } = collect(topic)
    await subscription.ready

    await eventually(() => expect(asked).toEqual(['first', 'expiring', 'refused']))
    await open(server.url, () => good())
      .topic<string>(topic.name)
      .publish('still here')

    await until(['still here'])
    expect(proxy.count).toBe(2)
    expect(errors).toEqual([failure('token_unavailable', 'mess')])
    expect(errors[0]).toMatchObject({ cause: { message: 'the login server is down' } })
  })

  test('that is renewed for another user ends it for good', { timeout: 40_000 }, async () => {
    const { mess, proxy, errors } = await client((_, call) =>
      call === 1 ? good({ exp: inSeconds(2) }) : good({ sub: 'bob' }),
    )
    const topic = mess.topic<string>(newTopic())
    await collect(topic).subscription.ready

    await eventually(() => expect(mess.status.connection).toBe('denied'))

    expect(errors).toEqual([failure('user_mismatch')])
    expect(proxy.count).toBe(1)
  })
})

describe('a token that is refused', () => {
  const secret = new TextEncoder().encode('another secret of at least thirty-two bytes')
  const unsigned = (payload: object) =>
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.`

  test.each([
    [
      'signed with another secret',
      () =>
        new SignJWT({ sub: 'ana', aud: 'messkit', exp: inSeconds(60) })
          .setProtectedHeader({ alg: 'HS256' })
          .sign(secret),
      'token_invalid',
    ],
    ['not signed', () => unsigned({ sub: 'ana', aud: 'messkit', exp: inSeconds(60) }), 'token_invalid'],
    ['for another audience', () => good({ aud: 'others' }), 'token_invalid'],
    ['without a subject', () => good({ sub: undefined }), 'token_invalid'],
    ['without an end', () => good({ exp: undefined }), 'token_invalid'],
    ['expired', () => good({ exp: inSeconds(-1) }), 'token_expired'],
    ['not valid yet', () => good({ nbf: inSeconds(600) }), 'token_not_yet_valid'],
    ['no token at all', () => 'hello', 'token_invalid'],
    ['of letters that no header holds', () => 'tökén 漢字 👋', 'token_invalid'],
  ])('because it is %s is asked for once more, and then it is a state and no loop', async (_, make, code) => {
    const { mess, proxy, asked, errors } = await client(make)
    const topic = mess.topic<string>(newTopic())

    const receipt = topic.publish('waits')
    await eventually(() => expect(mess.status.connection).toBe('auth-needed'))

    await quiet()
    topic.subscribe(() => {}).stop()
    topic.publish('waits, too').catch(() => {})
    await quiet()
    expect(asked).toEqual(['first', 'refused'])
    expect(proxy.count).toBe(2)
    expect(errors).toEqual([failure(code)])
    expect(mess.status).toMatchObject({ connection: 'auth-needed', unsent: 2, refused: 0 })
    expect(await mess.outbox.list()).toMatchObject([{ id: receipt.id, state: 'waiting' }, { state: 'waiting' }])
    expect(await read(topic.name)).toEqual([])
    await mess.close()
    await expect(receipt).rejects.toThrow(failure('closed'))
  })

  test('is forgotten when the next one is good', async () => {
    const { mess, proxy, asked, errors } = await client((_, call) => good(call === 1 ? { exp: inSeconds(-1) } : {}))
    const topic = mess.topic<string>(newTopic())

    expect(await topic.publish('hello')).toMatchObject({ offset: 0, duplicate: false })

    expect(asked).toEqual(['first', 'refused'])
    expect(proxy.count).toBe(2)
    expect(errors).toEqual([])
  })

  test('is not offered again while there is no other', async () => {
    const { mess, asked, errors } = await client((_, call) => {
      if (call === 2 || call === 3) throw new Error('the login server is down')
      return good(call === 1 ? { exp: inSeconds(-1) } : {})
    })
    const topic = mess.topic<string>(newTopic())

    expect(await topic.publish('hello')).toMatchObject({ offset: 0 })

    expect(asked).toHaveLength(4)
    expect(errors).toEqual([failure('token_unavailable'), failure('token_unavailable')])
  })

  test('where there is none to ask for is a state, too', async () => {
    const proxy = await proxied()
    const mess = open(proxy.url)

    mess.topic<string>(newTopic()).subscribe(() => {})
    await eventually(() => expect(mess.status.connection).toBe('auth-needed'))

    await quiet()
    expect(proxy.count).toBe(2)
  })
})

describe('the token callback', () => {
  test.each<[string, AskToken]>([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['answers with nothing', () => undefined as never],
    ['answers with an empty text', () => ''],
    ['answers with more than a token may have', () => 'x'.repeat(LIMITS.tokenBytes + 1)],
  ])('that %s is asked again after a while; until then the client is offline', async (_, bad) => {
    const { mess, proxy, asked, errors } = await client((ask, call) => (call < 4 ? bad(ask) : good()))
    const told: string[] = []
    mess.on('status', ({ connection }) => told.push(connection))
    const topic = mess.topic<string>(newTopic())

    expect(await topic.publish('hello')).toMatchObject({ offset: 0 })

    expect(asked).toEqual(['first', 'first', 'first', 'first'])
    expect(errors).toEqual([1, 2, 3].map(() => failure('token_unavailable', 'mess')))
    expect(told).toContain('offline')
    expect(proxy.count).toBe(1)
  })

  test('is asked once for all topics', async () => {
    const { mess, proxy, asked } = await client(() => good())

    await Promise.all(Array.from({ length: 10 }, () => mess.topic<number>(newTopic()).publish(1)))

    expect(asked).toEqual(['first'])
    expect(proxy.count).toBe(10)
  })

  test('is asked once for all topics that were refused with the same token', async () => {
    const { mess, proxy, asked, errors } = await client((_, call) => good(call === 1 ? { exp: inSeconds(-1) } : {}))

    await Promise.all(Array.from({ length: 10 }, () => mess.topic<number>(newTopic()).publish(1)))

    expect(asked).toEqual(['first', 'refused'])
    expect(proxy.count).toBe(20)
    expect(errors).toEqual([])
  })

  test('is told by its signal that nobody waits any more', async () => {
    let aborted = false
    const { mess, errors } = await client(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            aborted = true
            reject(signal.reason)
          })
        }),
    )
    const receipt = mess.topic<number>(newTopic()).publish(1)
    const closed = expect(receipt).rejects.toThrow(failure('closed'))
    await quiet()

    await mess.close()

    await closed
    expect(aborted).toBe(true)
    expect(errors).toEqual([])
  })
})

describe('a client that was made for a user', () => {
  test('sends nothing on a connection of another one', async () => {
    const { mess, proxy, asked, errors } = await client(() => good({ sub: 'bob' }), { user: 'ana' })
    const topic = mess.topic<string>(newTopic())

    topic.publish('not for bob').catch(() => {})
    await eventually(() => expect(mess.status.connection).toBe('denied'))

    await quiet()
    expect(errors).toEqual([failure('user_mismatch')])
    expect([asked, proxy.count]).toEqual([['first'], 1])
    expect(mess.status.unsent).toBe(1)
    expect(await read(topic.name)).toEqual([])
  })

  test('works on their own', async () => {
    const { mess } = await client(() => good({ sub: 'ana' }), { user: 'ana' })

    expect(await mess.topic<string>(newTopic()).publish('hello')).toMatchObject({ offset: 0 })
  })
})

interface Watched {
  readonly mess: Mess
  readonly proxy: TestProxy
  /** Why the callback was asked, each time. */
  readonly asked: string[]
  readonly errors: MessError[]
}

async function client(
  make: (ask: Parameters<AskToken>[0], call: number) => string | Promise<string>,
  options: MessOptions = {},
): Promise<Watched> {
  const proxy = await proxied()
  const asked: string[] = []
  const errors: MessError[] = []
  const mess = open(proxy.url, (ask) => make(ask, asked.push(ask.why)), options)
  mess.on('error', (error) => errors.push(error))
  return { mess, proxy, asked, errors }
}

function open(url: string, token?: AskToken, options: MessOptions = {}): Mess {
  const mess = createMess({ url, reconnect: { minMs: 1, maxMs: 10 }, ...(token && { token }), ...options })
  mess.on('error', () => {}) // or the console is told of those that are meant to happen
  onTestFinished(async () => void (await mess.close()))
  return mess
}

async function proxied(): Promise<TestProxy> {
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  return proxy
}

/** Long enough for several attempts, had anybody started one: what others do in the meantime, they do on the same machine. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 5; i++) await read(newTopic())
}

async function read(name: string): Promise<unknown[]> {
  await using mess = createMess({ url: server.url, token: () => good() })
  const { messages } = await mess.topic<unknown>(name).history({ limit: 1_000 })
  return messages.map(({ data }) => data)
}
