import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { HEARTBEAT, LIMITS } from '@messkit/sdk/protocol'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { PolicyDocument } from '../../packages/edge/src/access/document.ts'
import type { Env } from '../../packages/edge/src/env.ts'
import worker, { type LimiterObject } from '../../packages/edge/src/index.ts'
import { limiterName, objectName } from '../../packages/edge/src/objects/object-name.ts'
import { Client, codeOf, makeToken, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
const ADDRESS = 'x-test-address'
const ALL = 'acl allow all all topic from=all'

let files = 0
let topic = ''
let vars: Env

beforeEach(() => {
  topic = `limits/${++files}`
  vars = { ...settings, TOKEN_SECRET: SECRET, ADMINS: 'root', ADDRESS_HEADER: ADDRESS }
  Object.assign(settings, { TOKEN_SECRET: SECRET })
})

interface Coming {
  readonly at?: string
  readonly from?: string
  readonly claims?: object
}

async function open(user: string, { at = topic, from, claims = {} }: Coming = {}): Promise<Client> {
  const request = upgradeRequest(at, await makeToken({ sub: user, ...claims }), from ? { [ADDRESS]: from } : {})
  const client = new Client(await worker.fetch(request, vars), at)
  onTestFinished(() => client.close())
  return client
}

async function greeted(user: string, coming: Coming = {}): Promise<Client> {
  const client = await open(user, coming)
  await client.hello()
  return client
}

/** Whether somebody gets in; a refusal is a frame before the end. */
async function comesIn(user: string, coming: Coming = {}): Promise<Client | string> {
  const client = await open(user, coming)
  const answer = await Promise.race([
    client.hello(),
    client.next(({ id }) => id === null),
    client.closed.then(({ reason }) => ({ error: { data: { code: reason } } })),
  ])
  return codeOf(answer as never) ?? client
}

/** Sets the deployment's policy, and takes it back after the test: other files of tests live by the one that was there. */
async function setRules(...rules: string[]): Promise<void> {
  const { rules: before, grants, tests } = await policy('GET')
  const set = async (next: object) => policy('PUT', { ...next, ifVersion: (await policy('GET')).version })
  onTestFinished(async () => {
    await set({ rules: before, grants, tests })
  })
  const done = await set({ rules: rules.join('\n') })
  if (done.version === undefined) throw new Error(JSON.stringify(done))
}

async function policy(method: string, body?: object): Promise<PolicyDocument & { version?: number }> {
  const response = await worker.fetch(
    new Request('https://mess.test/v1/admin/policy', {
      method,
      headers: { authorization: `Bearer ${await makeToken({ sub: 'root' })}` },
      ...(body && { body: JSON.stringify(body) }),
    }),
    vars,
  )
  return response.json()
}

const topicAt = (name = topic) => vars.TOPICS.getByName(objectName({ kind: 'topic', name }))

/** Who counts a user's connections, and how many it believes there are. */
async function limiterOf(client: Client, which: 'user' | 'address' = 'user', at = topic) {
  await client.hello()
  const name = await runInDurableObject(topicAt(at), (_, state) => {
    const places = state.getWebSockets().flatMap((socket) => {
      const attachment = socket.deserializeAttachment() as [number, string, string] | null
      const { place } = JSON.parse(attachment?.[2] ?? '{}') as { place?: { limiters: string[] } }
      return place?.limiters ?? []
    })
    return places.find((limiter) => limiter.includes(`:${which}:`)) as string
  })
  const stub = vars.LIMITER.getByName(name)
  return {
    stub,
    count: () =>
      runInDurableObject(stub, (_, state) => state.storage.sql.exec('select count(*) as n from place').one().n),
    /** As if its connections had been made long ago, and its memory been lost since. */
    age: async () => {
      await runInDurableObject(stub, (_, state) => void state.storage.sql.exec('update place set at = at - 60000'))
      await evictDurableObject(stub)
    },
  }
}

test('a user publishes as fast as the policy lets them, over all their links, and is told how long to wait', async () => {
  await setRules('acl allow user:ana publish topic limit-rate=3/h', ALL)
  const [one, other, bo] = [await greeted('ana'), await greeted('ana'), await greeted('bo')]

  const first = await one.publish(1, ['1', '2', '3', '4'])
  const refused = await other.publish(1, ['5'], 'another-one')

  expect(first.result).toMatchObject({
    fates: [
      { fate: 'stored', count: 3 },
      { fate: 'unsent', first: 4, count: 1 },
    ],
  })
  expect(refused.error?.data).toMatchObject({
    code: 'limit_reached',
    retryable: true,
    retryAfterMs: expect.any(Number),
  })
  expect((await bo.publish(1, ['6', '7', '8', '9'])).result).toMatchObject({ fates: [{ fate: 'stored', count: 4 }] })
})

test('what was published counts on when the object has slept, with the same link or another one', async () => {
  await setRules('acl allow user:ana publish topic limit-rate=3/h', ALL)
  const client = await greeted('ana')
  await client.publish(1, ['1', '2', '3'])

  await evictDurableObject(topicAt())
  const same = await client.publish(4, ['4'])
  client.close()
  await evictDurableObject(topicAt())
  const another = await (await greeted('ana')).publish(1, ['4'], 'another-one')

  expect([same, another].map(codeOf)).toEqual(['limit_reached', 'limit_reached'])
})

test('a rate by the second writes nothing down, one by the hour one row', async () => {
  const written = () =>
    runInDurableObject(topicAt(), (_, { storage: { sql } }) =>
      Number(sql.exec('select count(*) as n from fact where bucket = ?', LIMITS.checkpointBuckets).one().n),
    )
  await setRules(
    'acl allow user:ana publish topic limit-rate=9/s',
    'acl allow user:bo publish topic limit-rate=9/h',
    ALL,
  )

  await (await greeted('ana')).publish(1, ['1'])
  const bySecond = await written()
  await (await greeted('bo')).publish(1, ['1'])

  expect([bySecond, await written()]).toEqual([0, 1])
})

test('a change of the limits reaches live links', async () => {
  const client = await greeted('ana')
  await client.publish(1, ['"1234567890"'])

  await setRules('acl allow all publish topic limit-bytes=5', ALL)
  const { result } = await client.publish(2, ['"123"', '"1234"'])

  expect(result).toMatchObject({ fates: [{ fate: 'stored' }, { fate: 'refused', code: 'message_too_large' }] })
})

test('subscriptions and depth are limited as the policy says', async () => {
  await setRules(
    'acl allow user:ana subscribe topic limit-subscriptions=1',
    'acl allow user:ana history topic from=all limit-depth=2',
    ALL,
  )
  await (await greeted('bo')).publish(1, ['1', '2', '3', '4'])
  const [one, other] = [await greeted('ana'), await greeted('ana')]

  const started = await one.subscribe('start')
  const more = await one.subscribe('now', { subscription: 2 })
  const there = await other.subscribe('now')
  const page = await one.ask('history', { topic, limit: 10 })

  expect(started.result).toMatchObject({ cursor: expect.stringMatching(/_0000000000000002$/) })
  expect([more, there].map(codeOf)).toEqual(['too_many_subscriptions', 'limit_reached'])
  expect(page.result).toMatchObject({ first: 2, messages: [3, 4] })
})

test('another limit is no new right: history that could be read before still can', async () => {
  await setRules('acl allow user:bo all topic', 'acl allow user:ana history topic limit-depth=10')
  const bo = await greeted('bo')
  await bo.publish(1, ['1', '2', '3'])

  await setRules('acl allow user:bo all topic', 'acl allow user:ana history topic limit-depth=20')
  const page = await (await greeted('ana')).ask('history', { topic, limit: 10 })

  expect(page.result).toMatchObject({ messages: [1, 2, 3] })
})

test('a user holds so many connections over all topics, and the one too many makes no object', async () => {
  await setRules('acl allow all connect server limit-connections=2', ALL)
  const [first] = [await greeted('ana', { at: `${topic}/a` }), await greeted('ana', { at: `${topic}/b` })]
  const made = vi.spyOn(vars.TOPICS, 'getByName')

  const third = await open('ana', { at: `${topic}/c` })
  const end = await third.closed
  const asked = made.mock.calls.map(([name]) => name)
  made.mockRestore()
  const other = await comesIn('bo', { at: `${topic}/c` })

  expect(end).toEqual({ code: 4012, reason: 'limit_reached' })
  expect(third.frames).toMatchObject([
    { id: null, error: { data: { code: 'limit_reached', retryable: true, retryAfterMs: 5_000 } } },
  ])
  // Those that hold the other two are asked for the truth.
  expect(asked.sort()).toEqual([
    objectName({ kind: 'topic', name: `${topic}/a` }),
    objectName({ kind: 'topic', name: `${topic}/b` }),
  ])
  expect(other).toBeInstanceOf(Client)
  expect(first.frames).toHaveLength(1)
})

test('a place that was given back is there for the next one', async () => {
  await setRules('acl allow all connect server limit-connections=1', ALL)
  for (let i = 0; i < 5; i++) {
    const client = await comesIn('ana')
    if (typeof client === 'string') throw new Error(`the connection ${i} was refused: ${client}`)
    const limiter = await limiterOf(client)

    client.close()

    await vi.waitUntil(async () => (await limiter.count()) === 0, { timeout: 20_000 })
  }
})

test.each(['by the server', 'as somebody who may not come in'])(
  'a link that is ended %s gives its place back',
  async (how) => {
    await setRules('acl allow all connect server limit-connections=1', ALL)
    const client = await greeted('ana')
    const limiter = await limiterOf(client)

    if (how === 'by the server') {
      for (let i = 0; i <= LIMITS.faultsPerLink; i++) client.send('noise')
    } else await setRules('acl deny user:ana all topic', 'acl allow all connect server limit-connections=1', ALL)

    await client.closed
    await vi.waitUntil(async () => (await limiter.count()) === 0, { timeout: 20_000 })
  },
)

test('whoever comes at the same time as others gets no more places than there are', async () => {
  await setRules('acl allow all connect server limit-connections=4', ALL)

  const came = await Promise.all(Array.from({ length: 24 }, (_, i) => comesIn('ana', { at: `${topic}/${i % 7}` })))

  expect(came.filter((one) => one instanceof Client)).toHaveLength(4)
  expect(came.filter((one) => typeof one === 'string')).toEqual(Array(20).fill('limit_reached'))
})

test('places whose end was never told are found empty when they are needed', async () => {
  await setRules('acl allow all connect server limit-connections=2', ALL)
  const [stays, goes] = [await greeted('ana'), await greeted('ana')]
  const limiter = await limiterOf(stays)
  const lost = vi.spyOn(vars.LIMITER, 'getByName').mockImplementation(() => {
    throw new Error('the limiter cannot be reached')
  })
  const quiet = vi.spyOn(console, 'error').mockImplementation(() => {})
  goes.close()
  await goes.closed
  await topicIsLeftWith(1)
  lost.mockRestore()
  quiet.mockRestore()
  expect(await limiter.count()).toBe(2)

  await limiter.age()
  const [next, tooMany] = [await comesIn('ana'), await comesIn('ana')]

  expect(next).toBeInstanceOf(Client)
  expect(tooMany).toBe('limit_reached')
})

async function topicIsLeftWith(count: number): Promise<void> {
  const open = () => runInDurableObject(topicAt(), (_, state) => state.getWebSockets().filter(isOpen).length)
  await vi.waitUntil(async () => (await open()) === count, { timeout: 20_000 })
}

const isOpen = ({ readyState }: WebSocket): boolean => readyState === WebSocket.OPEN

test('a connection that has just been let in is not looked for yet', async () => {
  await setRules('acl allow all connect server limit-connections=1', ALL)
  const client = await greeted('ana')
  const limiter = await limiterOf(client)
  const asLimiter = (work: (limiter: LimiterObject) => Promise<unknown>) =>
    runInDurableObject(limiter.stub, async (object) => void (await work(object as unknown as LimiterObject)))
  await asLimiter((one) => one.take({ id: 'on its way', at: topic, most: 2 }))

  client.close()
  await vi.waitUntil(async () => (await limiter.count()) === 1, { timeout: 20_000 })

  expect(await comesIn('ana')).toBe('limit_reached')
  // It never came.
  await asLimiter((one) => one.leave('on its way'))
})

test('places are kept while the objects sleep, and given back when a link ends in its sleep', async () => {
  await setRules('acl allow all connect server limit-connections=1', ALL)
  const client = await greeted('ana')
  const limiter = await limiterOf(client)

  await evictDurableObject(limiter.stub)
  await evictDurableObject(topicAt())
  const second = await comesIn('ana')
  await evictDurableObject(topicAt())
  client.close()

  expect(second).toBe('limit_reached')
  await vi.waitUntil(async () => (await limiter.count()) === 0, { timeout: 20_000 })
})

test('a new token keeps the place of the old one', async () => {
  await setRules('acl allow all connect server limit-connections=1', ALL)
  const client = await greeted('ana')
  const limiter = await limiterOf(client)

  const renewed = await client.ask('authenticate', { token: await makeToken({ sub: 'ana' }) })
  const second = await comesIn('ana')
  client.close()

  expect(renewed.result).toBeDefined()
  expect(second).toBe('limit_reached')
  await vi.waitUntil(async () => (await limiter.count()) === 0, { timeout: 20_000 })
})

test('a token that narrows what its user may do frees nobody of a limit', async () => {
  await setRules('acl allow all connect server limit-connections=1', ALL)
  const claims = { messkit: { only: [{ on: 'topic', name: 'limits/#', can: ['publish'] }] } }

  const came = [await comesIn('ana', { claims }), await comesIn('ana', { claims })]

  expect(came).toEqual([expect.any(Client), 'limit_reached'])
})

test('a client that went without a word does not keep its user out', async () => {
  await setRules('acl allow all connect server limit-connections=1', ALL)
  const gone = await greeted('ana')
  gone.send(HEARTBEAT.ask)
  await vi.waitUntil(() => gone.texts.includes(HEARTBEAT.answer), { timeout: 20_000 })
  const limiter = await limiterOf(gone)
  const beaten = await comesIn('ana')

  await limiter.age()
  const now = Date.now()
  vi.spyOn(Date, 'now').mockImplementation(() => now + 4 * HEARTBEAT.everyMs)
  onTestFinished(() => void vi.restoreAllMocks())
  const back = await comesIn('ana')

  expect(beaten).toBe('limit_reached')
  expect(back).toBeInstanceOf(Client)
  expect(await gone.closed).toMatchObject({ code: 4012 })
})

test('connections are counted by address: a /64 of IPv6 is one, and so is IPv4 however it is written', async () => {
  await setRules('acl allow all connect server limit-connections-per-address=1', ALL)

  const came = [
    await comesIn('a', { from: '10.0.0.1' }),
    await comesIn('b', { from: '::ffff:10.0.0.1' }),
    await comesIn('c', { from: '10.0.0.2' }),
    await comesIn('d', { from: '2001:db8:1:2::1' }),
    await comesIn('e', { from: '2001:db8:1:2:ffff::1' }),
    await comesIn('f', { from: '2001:db8:1:3::1' }),
    // Nobody knows whether they are the same, so they count as if they were.
    await comesIn('g'),
    await comesIn('h', { from: 'no address' }),
  ]

  const [yes, no] = [expect.any(Client), 'limit_reached']
  expect(came).toEqual([yes, no, yes, yes, no, yes, yes, no])
})

test('a user whose address has no room left keeps no place of their own', async () => {
  await setRules('acl allow all connect server limit-connections=1 limit-connections-per-address=1', ALL)
  const first = await comesIn('ana', { from: '10.0.0.1' })
  const refused = await comesIn('bo', { from: '10.0.0.1' })
  const elsewhere = await comesIn('bo', { from: '10.0.0.2' })

  expect([first, refused, elsewhere]).toEqual([expect.any(Client), 'limit_reached', expect.any(Client)])
})

test('where the limiter cannot be reached nobody whom it counts is let in, and everybody else is', async () => {
  await setRules('acl allow user:ana connect server limit-connections=9', ALL)
  vi.spyOn(console, 'error').mockImplementation(() => {})
  vi.spyOn(vars.LIMITER, 'getByName').mockImplementation(() => {
    throw new Error('the limiter cannot be reached')
  })
  onTestFinished(() => void vi.restoreAllMocks())

  expect(await comesIn('ana')).toBe('policy_unavailable')
  expect(await comesIn('bo')).toBeInstanceOf(Client)
})

test('a rule that says connect keeps somebody out; one about everything leaves it to the topics', async () => {
  await setRules(
    'acl deny all connect server network=10.66.0.0/16',
    'acl deny user:mallory connect server',
    'acl deny user:eve all server',
    ALL,
  )
  const who = ['ana', 'mallory', 'eve'].map((user) => comesIn(user, { from: '10.0.0.1' }))
  const where = ['10.66.0.1', '::ffff:10.66.0.1', undefined].map((from) => comesIn('ana', from ? { from } : {}))

  const [yes, no] = [expect.any(Client), 'forbidden']
  expect(await Promise.all(who)).toEqual([yes, no, yes])
  // A deny rule holds for an address that is not known.
  expect(await Promise.all(where)).toEqual([no, no, no])
})

test('where the address is not known, rules that let a network in do not hold, and those that keep one out do', async () => {
  await setRules(
    'acl allow user:ana all topic network=10.0.0.0/8',
    'acl deny user:bo all topic network=10.0.0.0/8',
    'acl allow user:bo all topic',
  )

  const came = [
    await comesIn('ana', { from: '10.0.0.1' }),
    await comesIn('ana', { from: '11.0.0.1' }),
    await comesIn('ana'),
    await comesIn('bo', { from: '11.0.0.1' }),
    await comesIn('bo', { from: '10.0.0.1' }),
    await comesIn('bo'),
  ]

  const [yes, no] = [expect.any(Client), 'forbidden']
  expect(came).toEqual([yes, no, no, yes, no, no])
})

test('a limiter is made for nobody who is not let in, and for nobody whom nothing limits', async () => {
  await setRules('acl allow user:ana connect server limit-connections=1', 'acl allow all all topic name="limits/#"')
  const made = vi.spyOn(vars.LIMITER, 'getByName')
  onTestFinished(() => void vi.restoreAllMocks())

  await comesIn('ana', { at: 'elsewhere' })
  await (await open('ana', { claims: { exp: 1 } })).closed
  await comesIn('bo')
  expect(made).not.toHaveBeenCalled()
  await comesIn('ana')

  expect(made.mock.calls).toEqual([[expect.stringContaining(limiterName('user', ''))]])
})

test('whoever has no connection left is not told by that which topics have rules of their own', async () => {
  await setRules(
    'acl allow all connect server limit-connections=1',
    `acl allow user:eve subscribe topic name="${topic}"`,
  )
  const own = `${topic}/own`
  const set = await worker.fetch(
    new Request(`https://mess.test/v1/admin/access/topics/${own}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${await makeToken({ sub: 'root' })}` },
      body: JSON.stringify({ rules: 'acl allow user:ana subscribe topic', ifVersion: 0 }),
    }),
    vars,
  )
  await greeted('eve')
  await greeted('ana', { at: own })

  expect(set.status).toBe(200)
  expect(await comesIn('eve', { at: own })).toBe('forbidden')
  expect(await comesIn('eve', { at: `${topic}/nothing` })).toBe('forbidden')
  // Whom the topic lets in is told.
  expect(await comesIn('ana', { at: own })).toBe('limit_reached')
})
