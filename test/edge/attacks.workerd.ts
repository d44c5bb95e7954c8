import { evictDurableObject, listDurableObjectIds, runDurableObjectAlarm } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { encodePublish, LIMITS } from '@messkit/sdk/protocol'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { app } from '../../packages/edge/src/app.ts'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { QUEUE_CALLS } from '../../packages/edge/src/queues/calls.ts'
import { QUEUE_REQUESTS } from '../../packages/sdk/src/protocol/frames/queue.ts'
import { NAMES_REQUESTS } from '../../packages/sdk/src/protocol/frames/queue-names.ts'
import { REQUESTS } from '../../packages/sdk/src/protocol/frames/requests.ts'
import { encodeEnqueue } from '../support/queue-client.ts'
import { Client, codeOf, makeToken, paramsOf, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 180_000 })

/** What nobody but its owner may ever see. */
const MARKER = 'the plan of the year'
const ISSUER = 'https://login.example'
/** Ana, who attacks, has all rights in one corner, and none anywhere else. */
const RULES = `
  acl allow user:owner all all from=all
  acl deny user:ana all topic name="open/sealed"
  acl deny user:ana all queue name="open/sealed"
  acl allow user:ana all topic name="open/#" from=all
  acl allow user:ana all queue name="open/#"
  acl allow group:staff subscribe topic name="staff/#"
`
const SECRET_TOPIC = 'vault/plan'
const OPEN_TOPIC = 'open/door'

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
let vars: Env

beforeAll(async () => {
  Object.assign(settings, { TOKEN_SECRET: SECRET, TOKEN_GROUP_ISSUERS: ISSUER, ADMINS: 'root' })
  vars = settings
  await setPolicy(RULES)
  const owner = await enter(SECRET_TOPIC, { sub: 'owner' })
  await owner.publish(1, [JSON.stringify(MARKER)])
  const enqueuer = await enterQueue(SECRET_TOPIC, { sub: 'owner' })
  await enqueuer.request((id) =>
    encodeEnqueue(id, { queue: SECRET_TOPIC, publisher: 'publisher', after: 0, first: 1 }, [JSON.stringify(MARKER)]),
  )
})

beforeEach(() => {
  vars = { ...settings }
})

// ---- the ways in

interface Answer {
  readonly code: string | undefined
  /** The answer itself. */
  readonly text: string
  /** Everything that came. */
  readonly all: string
}

/** @param name the topic or queue that is attacked @param sub who attacks */
type Way = (name: string, sub: string) => Promise<Answer>

/** A link to a topic that may be entered, on which a frame names another one. */
const frame =
  (method: string, params: (topic: string) => object): Way =>
  async (name, sub) => {
    const client = await enter(OPEN_TOPIC, { sub })
    const answer = await client.ask(method, params(name))
    client.close()
    return { code: codeOf(answer), ...textsOf(client) }
  }

/** The same for queues. */
const queueFrame =
  (method: string, params: object = {}): Way =>
  async (name, sub) => {
    const client = await enterQueue(OPEN_TOPIC, { sub })
    const answer = await client.ask(method, { queue: name, ...params })
    client.close()
    return { code: codeOf(answer), ...textsOf(client) }
  }

/** To the topic or queue itself. */
const doorOf =
  (kind: 'topics' | 'queues'): Way =>
  async (name, sub) => {
    const request = upgradeRequest(encodeURIComponent(name), await makeToken({ sub }), {}, kind)
    const response = await worker.fetch(request, vars)
    if (response.status !== 101) return { code: (await errorOf(response)).code, text: '', all: '' }
    const client = new Client(response, name)
    const first = await client.next(() => true)
    return { code: codeOf(first), ...textsOf(client) }
  }
const door = doorOf('topics')

const http =
  (method: string, path: (name: string) => string, body?: (name: string) => object): Way =>
  async (name, sub) => {
    const response = await request(method, path(encodeURIComponent(name)), { sub }, body?.(name))
    const text = await response.text()
    return { code: (JSON.parse(text) as { error?: { code: string } }).error?.code, text, all: text }
  }

const OFTEN = { everyMs: 1_000, missed: 'all', overlap: 'allow' }

/** Every method and every route. One that is added without a line here makes the first test fail. */
const WAYS: Record<string, Way | 'names nothing'> = {
  'ws hello': 'names nothing',
  'ws authenticate': 'names nothing',
  'ws subscribe': frame('subscribe', (topic) => ({
    topic,
    subscription: 1,
    from: 'start',
    window: LIMITS.creditBytes,
  })),
  'ws unsubscribe': frame('unsubscribe', (topic) => ({ topic, subscription: 1 })),
  'ws credit': async (name, sub) => {
    const client = await enter(OPEN_TOPIC, { sub })
    client.send(
      JSON.stringify({ jsonrpc: '2.0', method: 'credit', params: { topic: name, subscription: 1, through: 9 ** 9 } }),
    )
    const answer = await client.next(({ id, error }) => id === null && error !== undefined)
    return { code: codeOf(answer), ...textsOf(client) }
  },
  'ws publish': async (name, sub) => {
    const client = await enter(OPEN_TOPIC, { sub })
    client.send(encodePublish(7, { topic: name, publisher: 'publisher-of-ana', after: 0, first: 1 }, '"stolen"'))
    const answer = await client.next(({ id, error }) => error !== undefined || id === 7)
    return { code: codeOf(answer), ...textsOf(client) }
  },
  'ws history': frame('history', (topic) => ({ topic, limit: 10 })),
  'queue hello': 'names nothing',
  'queue authenticate': 'names nothing',
  'queue enqueue': async (name, sub) => {
    const client = await enterQueue(OPEN_TOPIC, { sub })
    const params = { queue: name, publisher: 'publisher-of-ana', after: 0, first: 1 }
    const answer = await client.request((id) => encodeEnqueue(id, params, ['"stolen"']))
    return { code: codeOf(answer), ...textsOf(client) }
  },
  'queue work': queueFrame('work', { worker: 'worker-of-ana', capacity: 10, leaseMs: 60_000 }),
  'queue claim': queueFrame('claim', { worker: 'worker-of-ana', count: 10, leaseMs: 60_000 }),
  'queue settle': queueFrame('settle', { ack: [[1, 1]] }),
  'queue counts': queueFrame('counts'),
  'queue workers': queueFrame('workers'),
  'queue list': queueFrame('list', { state: 'ready', limit: 10 }),
  'queue redrive': queueFrame('redrive'),
  'queue cancel': queueFrame('cancel', { ids: [1] }),
  'queue promote': queueFrame('promote', { ids: [1] }),
  'queue bulk': queueFrame('bulk', { action: 'cancel', state: 'ready' }),
  'queue report': queueFrame('report', { reports: [{ lease: [1, 1], log: ['stolen'] }] }),
  'queue watch': queueFrame('watch', { ids: [1] }),
  'queue unwatch': queueFrame('unwatch', { ids: [1] }),
  'queue pause': queueFrame('pause', { paused: true }),
  'queue limit': queueFrame('limit', { concurrency: 1 }),
  'queue schedule': queueFrame('schedule', { id: 'often', plan: OFTEN, data: '"stolen"' }),
  'queue schedules': queueFrame('schedules'),
  'queue unschedule': queueFrame('unschedule', { id: 'often' }),
  'queue pauseSchedule': queueFrame('pauseSchedule', { id: 'often', paused: true }),
  'queue runSchedule': queueFrame('runSchedule', { id: 'often', run: 'run-of-ana' }),
  'names hello': 'names nothing',
  'names authenticate': 'names nothing',
  'names queues': async (name, sub) => {
    const client = await enterQueue('*', { sub })
    const answer = await client.ask('queues', { queue: name })
    client.close()
    return { code: codeOf(answer), ...textsOf(client) }
  },
  'GET /v1/queues': http('GET', (name) => `/v1/queues?queue=${name}`),
  'ALL /v1/topics/:topic{[\\s\\S]+}': door,
  'ALL /v1/queues/:queue{[\\s\\S]+}': doorOf('queues'),
  ...Object.fromEntries(
    Object.entries({
      'POST enqueue': { jobs: ['stolen'] },
      'POST claim': {},
      'POST ack': { leases: [[1, 1]] },
      'POST retry': { leases: [[1, 1]] },
      'POST extend': { leases: [[1, 1]] },
      'POST release': { leases: [[1, 1]] },
      'POST snooze': { leases: [[1, 1]], ms: 1 },
      'GET counts': undefined,
      'GET stats': undefined,
      'GET workers': undefined,
      'GET jobs': undefined,
      'POST redrive': {},
      'POST cancel': { ids: [1] },
      'POST promote': { ids: [1] },
      'POST bulk': { action: 'cancel', state: 'ready' },
      'POST pause': {},
      'POST resume': {},
      'POST limit': {},
      'POST schedule': { id: 'often', plan: OFTEN, data: 'stolen' },
      'GET schedules': undefined,
      'POST unschedule': { id: 'often' },
      'POST pause-schedule': { id: 'often', paused: true },
      'POST run-schedule': { id: 'often' },
    } satisfies Record<string, object | undefined>).map(([call, body]) => {
      const [method, path] = call.split(' ') as [string, string]
      return [`call ${call}`, http(method, (name) => `/v1/queues/${name}/${path}`, body && (() => body))]
    }),
  ),
  'GET /health': 'names nothing',
  'GET /v1/admin/policy': http('GET', () => '/v1/admin/policy'),
  'PUT /v1/admin/policy': http(
    'PUT',
    () => '/v1/admin/policy',
    () => ({ rules: 'acl allow all all all', ifVersion: 1 }),
  ),
  'GET /v1/admin/access/topics/:topic{[\\s\\S]+}': http('GET', (name) => `/v1/admin/access/topics/${name}`),
  'PUT /v1/admin/access/topics/:topic{[\\s\\S]+}': http(
    'PUT',
    (name) => `/v1/admin/access/topics/${name}`,
    () => ({ rules: 'acl allow user:ana all topic', ifVersion: 0 }),
  ),
  'GET /v1/admin/access/queues/:queue{[\\s\\S]+}': http('GET', (name) => `/v1/admin/access/queues/${name}`),
  'PUT /v1/admin/access/queues/:queue{[\\s\\S]+}': http(
    'PUT',
    (name) => `/v1/admin/access/queues/${name}`,
    () => ({ rules: 'acl allow user:ana all queue', ifVersion: 0 }),
  ),
  'PATCH /v1/admin/access/queues/:queue{[\\s\\S]+}': http(
    'PATCH',
    (name) => `/v1/admin/access/queues/${name}`,
    () => ({ add: { rules: ['acl allow user:ana all queue'] }, ifVersion: 0 }),
  ),
  'POST /v1/admin/revocations': http(
    'POST',
    () => '/v1/admin/revocations',
    () => ({ what: 'user', user: 'owner' }),
  ),
  'POST /v1/admin/explain': http(
    'POST',
    () => '/v1/admin/explain',
    (name) => ({
      user: 'owner',
      action: 'history',
      on: 'topic',
      name,
    }),
  ),
  'PATCH /v1/admin/policy': http(
    'PATCH',
    () => '/v1/admin/policy',
    () => ({ add: { rules: ['acl allow all all all'] }, ifVersion: 1 }),
  ),
  'GET /v1/admin/groups': http('GET', () => '/v1/admin/groups'),
  'PATCH /v1/admin/access/topics/:topic{[\\s\\S]+}': http(
    'PATCH',
    (name) => `/v1/admin/access/topics/${name}`,
    () => ({ add: { rules: ['acl allow user:ana all topic'] }, ifVersion: 0 }),
  ),
  'POST /v1/admin/kicks': http(
    'POST',
    () => '/v1/admin/kicks',
    () => ({ what: 'user', user: 'owner' }),
  ),
  'GET /v1/admin/audit': http('GET', () => '/v1/admin/audit'),
  'GET /v1/admin/audit/topics/:topic{[\\s\\S]+}': http('GET', (name) => `/v1/admin/audit/topics/${name}`),
  'GET /v1/admin/audit/queues/:queue{[\\s\\S]+}': http('GET', (name) => `/v1/admin/audit/queues/${name}`),
}

const ways = Object.entries(WAYS).flatMap(([name, way]) => (way === 'names nothing' ? [] : [[name, way] as const]))

test('every method and every route has its line, so that none is added without these cases', () => {
  const routes = app.routes.filter(({ path }) => !path.endsWith('*')).map(({ method, path }) => `${method} ${path}`)
  const methods = Object.keys(REQUESTS).map((method) => `ws ${method}`)
  const calls = Object.keys(QUEUE_CALLS).map((call) => `call ${call}`)
  const queueMethods = Object.keys(QUEUE_REQUESTS).map((method) => `queue ${method}`)
  const nameMethods = Object.keys(NAMES_REQUESTS).map((method) => `names ${method}`)

  expect(Object.keys(WAYS).sort()).toEqual(
    [...new Set([...methods, ...queueMethods, ...nameMethods, ...calls, ...routes])].sort(),
  )
})

// ---- names

/** Other spellings of the same name, and names that are none. */
const NAMES: [string, string][] = [
  ['A1 another case', 'Vault/plan'],
  ['A1 all capitals', 'VAULT/PLAN'],
  ['A2 decomposed', 'vault/pla\u0301n'],
  ['A2 composed', 'vault/pl\u00e1n'],
  ['A2 full width', 'vault/\uff50lan'],
  ['A3 a letter that looks the same', 'vault/pl\u0430n'],
  ['A3 an invisible character', 'vault/pl\u200ban'],
  ['A3 text direction', 'vault/\u202eplan'],
  ['A3 a byte order mark', '\ufeffvault/plan'],
  ['A4 NUL', 'vault/plan\0'],
  ['A4 a line break', 'vault/plan\r\n'],
  ['A5 a blank in front', ' vault/plan'],
  ['A5 a blank behind', 'vault/plan '],
  ['A5 a dot behind', 'vault/plan.'],
  ['A6 an empty level', 'vault//plan'],
  ['A6 a separator in front', '/vault/plan'],
  ['A6 a separator behind', 'vault/plan/'],
  ['A7 too long', `vault/${'plan/'.repeat(60)}`],
  ['A7 too many levels', 'vault/a/b/c/d/e/f/g/plan'],
  ['A7 cut where the bound is', `vault/plan${'x'.repeat(LIMITS.nameBytes)}`],
  ['A8 encoded', 'vault%2Fplan'],
  ['A8 encoded twice', 'vault%252Fplan'],
  ['A8 overlong', 'vault%c0%afplan'],
  ['A8 a plus for a blank', 'vault/+plan'],
  ['A9 a way up', 'open/../vault/plan'],
  ['A9 here', './vault/plan'],
  ['A10 of the prototype', '__proto__'],
  ['A10 the constructor', 'constructor'],
  ['A11 reserved', '_system'],
  ['A11 reserved by others', '$SYS/#'],
  ['A13 a neighbour with the same beginning', 'vault/plans'],
  ['A13 its parent', 'vault'],
  ['B1 a pattern', 'vault/*'],
  ['B2 everything', '#'],
  ['B2 a pattern of levels', '*/plan'],
  ['B3 what is denied inside what is allowed', 'open/sealed'],
  ['B6 a placeholder', 'vault/$' + '{user}'],
  ['C17 an inner address', 'internal'],
  ['C17 an object of another kind', 'directory:main'],
]

describe.each(NAMES)('%s', (_, name) => {
  test.each(ways)('%s', async (_, way) => {
    const answer = await way(name, 'ana')

    expect(answer.code).toMatch(/^(bad_name|bad_params|bad_frame|wrong_topic|wrong_queue|forbidden|not_found)$/)
    expect(answer.all).not.toContain(MARKER)
  })
})

test('A1–A13 left nothing behind: no object and no row but those of the two topics and queues', async () => {
  const objects = async () => [
    (await listDurableObjectIds(settings.TOPICS)).length,
    (await listDurableObjectIds(settings.QUEUES)).length,
  ]
  const before = await objects()
  for (const [, name] of NAMES) for (const [, way] of ways) await way(name, 'ana')

  expect(await objects()).toEqual(before)
  const owner = await enter(SECRET_TOPIC, { sub: 'owner' })
  expect((await owner.ask('history', { topic: SECRET_TOPIC, limit: 10 })).result).toMatchObject({ messages: [MARKER] })
  const enqueuer = await enterQueue(SECRET_TOPIC, { sub: 'owner' })
  const ready = { queue: SECRET_TOPIC, state: 'ready', limit: 10 }
  expect((await enqueuer.ask('list', ready)).result).toMatchObject({ jobs: [{ id: 1 }], messages: [MARKER] })
})

test('A12 a name that is no text, or stands there twice, is refused or read once by all', async () => {
  const client = await enter(OPEN_TOPIC, { sub: 'ana' })
  const answers = []
  for (const topic of [7, null, ['vault/plan'], { toString: 'vault/plan' }, true])
    answers.push(codeOf(await client.ask('history', { topic, limit: 1 })))
  client.send(
    `{"jsonrpc":"2.0","id":99,"method":"history","params":{"topic":"${OPEN_TOPIC}","topic":"${SECRET_TOPIC}","limit":1}}`,
  )

  expect(new Set(answers)).toEqual(new Set(['bad_name']))
  expect(codeOf(await client.next(({ id }) => id === 99))).toBe('wrong_topic')
  expect(client.texts.join()).not.toContain(MARKER)
})

// ---- second doors

test.each(ways)('C7, C8 what is there and what is not are answered alike: %s', async (_, way) => {
  const there = await way(SECRET_TOPIC, 'ana')
  const nowhere = await way('vault/none', 'ana')

  // `bad_params` of what names no queue: it is asked about all of them.
  expect(there.code).toMatch(/^(wrong_topic|wrong_queue|forbidden|bad_params)$/)
  expect(there.text.replaceAll(SECRET_TOPIC, '')).toBe(nowhere.text.replaceAll('vault/none', ''))
})

test('C3 nothing is read by offset, cursor, from the start or from behind', async () => {
  await setAccess(OPEN_TOPIC, '')
  const owner = await enter('open/shared', { sub: 'owner' })
  await owner.publish(1, [JSON.stringify(MARKER)])
  await setAccess('open/shared', 'acl allow user:newcomer subscribe topic\nacl allow user:newcomer history topic')
  const newcomer = await enter('open/shared', { sub: 'newcomer' })
  const { cursor } = (await owner.subscribe('start')).result as { cursor: string }

  const pages = [
    await newcomer.ask('history', { topic: 'open/shared', limit: 10 }),
    await newcomer.ask('history', { topic: 'open/shared', limit: 10, reverse: true }),
    await newcomer.ask('history', { topic: 'open/shared', limit: 10, from: cursor }),
  ]
  for (const [i, from] of ['start', cursor, { last: 10 }].entries())
    await newcomer.subscribe(from, { subscription: i + 1 })
  await owner.publish(2, ['"public"'])
  for (const i of [1, 2, 3]) await newcomer.delivered(2, i)

  expect(pages.map(({ result }) => (result as { messages: unknown[] }).messages)).toEqual([[], [], []])
  expect(newcomer.texts.join('\n')).not.toContain(MARKER)
})

test('C4 a cursor is a position and no right', async () => {
  const owner = await enter(SECRET_TOPIC, { sub: 'owner' })
  const { cursor } = (await owner.subscribe('start')).result as { cursor: string }
  const ana = await enter(OPEN_TOPIC, { sub: 'ana' })

  const answers = [
    await ana.ask('history', { topic: SECRET_TOPIC, from: cursor, limit: 5 }),
    await ana.subscribe(cursor),
    await ana.ask('history', { topic: OPEN_TOPIC, from: cursor, limit: 5 }),
  ]

  expect(codeOf(answers[0] as never)).toBe('wrong_topic')
  expect(ana.texts.join('\n')).not.toContain(MARKER)
})

test('C1, C6 a topic and a queue of one name are not the same, and no request takes a job from one queue to another', async () => {
  await during(`acl allow user:reader all topic name="both/#" from=all
    acl allow user:worker all queue name="both/#"\n${RULES}`)
  const name = 'both/1'
  const worker = await enterQueue(name, { sub: 'worker' })
  const doors = [await doorOf('queues')(name, 'reader'), await doorOf('topics')(name, 'worker')]
  const asked = [
    await worker.ask('subscribe', { topic: name, subscription: 1, from: 'start', window: 1 }),
    await worker.ask('history', { topic: name, limit: 1 }),
    await worker.ask('redrive', { queue: SECRET_TOPIC }),
    await worker.ask('redrive', { queue: name, to: SECRET_TOPIC, from: SECRET_TOPIC }),
  ]

  expect(doors.map(({ code }) => code)).toEqual(['forbidden', 'forbidden'])
  expect(asked.map(codeOf)).toEqual(['unknown_method', 'unknown_method', 'wrong_queue', undefined])
  expect(asked[3]?.result).toEqual({ redriven: 0, more: false })
})

test('C13 in a frame of many messages each is judged, and the answer says what became of each', async () => {
  const ana = await enter(OPEN_TOPIC, { sub: 'ana' })
  const answer = await ana.publish(1, ['1', '[', '3'], 'publisher-batch')

  expect(answer.result).toMatchObject({
    fates: [
      { fate: 'stored', first: 1, count: 1 },
      { fate: 'refused', first: 2, count: 1, code: 'bad_payload' },
      { fate: 'unsent', first: 3, count: 1 },
    ],
  })
})

test('C17 an object knows its visitor from the Worker alone, whatever headers a request brings', async () => {
  const forged = btoa(JSON.stringify({ key: 'x', user: 'owner', groups: ['staff'], expiresAt: 9e15, issuedAt: 0 }))
  const client = new Client(
    await worker.fetch(
      upgradeRequest(OPEN_TOPIC, await makeToken(), {
        'messkit-visitor': forged,
        'messkit-identity': forged,
        'x-user': 'owner',
      }),
      vars,
    ),
    OPEN_TOPIC,
  )
  expect((await client.hello()).result).toMatchObject({ user: 'ana' })

  for (const path of ['/', '/internal', '/v1/internal/topics/vault/plan', '/v1/admin/internal', '/v1/directory']) {
    const response = await request('GET', path, { sub: 'ana' }, undefined, { 'messkit-visitor': forged })
    expect([path, [403, 404].includes(response.status)]).toEqual([path, true])
  }
})

// ---- who one is

test('D4 a token that ends while its object is out of memory ends its link', async () => {
  const topic = 'open/asleep-with-a-token'
  const client = await enter(topic, { sub: 'ana', exp: Math.floor(Date.now() / 1000) + 60 })
  await client.subscribe('now')
  const stub = vars.TOPICS.getByName(`topic:main:${topic}`)
  await evictDurableObject(stub)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
  onTestFinished(() => void vi.useRealTimers())

  expect(await runDurableObjectAlarm(stub)).toBe(true)

  expect(await client.closed).toEqual({ code: 4401, reason: 'token_expired' })
})

test('D9 groups and rights that a client gives itself count for nothing', async () => {
  const ana = await open(OPEN_TOPIC, { sub: 'ana', groups: ['staff'] })
  await ana.ask('hello', { versions: [1], user: 'owner', groups: ['staff'], rights: 65_535, admin: true })
  await ana.ask('authenticate', { token: await makeToken({ sub: 'ana', groups: ['staff'] }), rights: 65_535 })
  const pretender = await open('staff/room', { sub: 'ana', groups: ['staff'], iss: 'https://elsewhere.example' })
  const member = await open('staff/room', { sub: 'bo', groups: ['staff'], iss: ISSUER })

  expect(codeOf(await ana.ask('history', { topic: SECRET_TOPIC, limit: 1 }))).toBe('wrong_topic')
  expect(codeOf(await pretender.next(() => true))).toBe('forbidden')
  expect((await member.hello()).result).toBeDefined()
})

test.each(['Bearer', 'Bearer ', 'Basic YW5hOmFuYQ==', 'bearer a b', 'Token x', 'null', ', Bearer x'])(
  'D11 a header of authorisation that is none is a refusal, and nobody becomes anonymous by it: %s',
  async (authorization) => {
    const response = await worker.fetch(
      new Request('https://mess.test/v1/admin/policy', { headers: { authorization } }),
      vars,
    )

    expect(response.status).toBe(401)
  },
)

test.each(['null', 'https://evil.example', 'file://', 'https://mess.test.evil.example'])(
  'D12 a page of another origin gets nowhere: %s',
  async (origin) => {
    const token = await makeToken({ sub: 'owner' })
    const responses = [
      await worker.fetch(upgradeRequest(OPEN_TOPIC, token, { origin }), vars),
      await worker.fetch(
        new Request('https://mess.test/v1/admin/policy', { headers: { origin, authorization: `Bearer ${token}` } }),
        vars,
      ),
    ]

    expect(responses.map(({ status }) => status)).toEqual([403, 403])
  },
)

test.each([
  'all',
  'owner ',
  'Owner',
  'group:staff',
  'staff',
  'user:owner',
  '*',
  '#',
  '$' + '{user}',
  'о\u0077ner',
  '__proto__',
  'constructor',
  'root\n',
  'ROOT',
])('D13, B4 a user who is called %j is nobody else', async (sub) => {
  const answers = await Promise.all(['vault/plan', 'staff/room', 'open/door'].map((name) => door(name, sub)))
  const admin = await request('GET', '/v1/admin/policy', { sub })

  expect(answers.map(({ code }) => code)).toEqual(['forbidden', 'forbidden', 'forbidden'])
  expect(admin.status).toBe(403)
})

test('another subject’s publisher id and request id are worth nothing', async () => {
  const [one, two] = [await enter(OPEN_TOPIC, { sub: 'ana' }), await enter(OPEN_TOPIC, { sub: 'owner' })]
  const mine = await one.publish(1, ['"ana"'], 'publisher-shared')
  const theirs = await two.publish(1, ['"owner"'], 'publisher-shared')

  // Both are first messages: neither is taken for a repeat of the other, and each answer went to who asked.
  expect([mine, theirs].map(({ result }) => (result as { fates: { fate: string }[] }).fates[0]?.fate)).toEqual([
    'stored',
    'stored',
  ])
  expect(one.frames.filter(({ id }) => id === 2)).toHaveLength(1)
})

test('five thousand groups: too many for a token, and no matter to a policy', async () => {
  const groups = Array.from({ length: 5_000 }, (_, i) => `g${i}`)
  const [large, many] = [
    await open(OPEN_TOPIC, { sub: 'ana', iss: ISSUER, groups }),
    await open(OPEN_TOPIC, { sub: 'ana', iss: ISSUER, groups: groups.slice(0, 65) }),
  ]
  expect([codeOf(await large.next(() => true)), codeOf(await many.next(() => true))]).toEqual([
    'token_too_large',
    'token_invalid',
  ])

  await during(groups.map((group) => `acl allow group:${group} subscribe topic name="crowd/#"`).join('\n') + RULES)
  const [member, other] = [
    await open('crowd/1', { sub: 'cy', iss: ISSUER, groups: ['g4999'] }),
    await open('crowd/1', { sub: 'cy', iss: ISSUER, groups: ['g5000'] }),
  ]
  expect((await member.hello()).result).toBeDefined()
  expect(codeOf(await other.next(() => true))).toBe('forbidden')
})

test('a flood of key ids while the issuer is down is not passed on to it, and whoever has a good token comes in when it is back', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'good' }] }
  let up = false
  const fetched = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => {
    if (!up) throw new TypeError('the issuer is down')
    return Response.json(jwks)
  })
  onTestFinished(() => void vi.restoreAllMocks())
  vi.spyOn(console, 'error').mockImplementation(() => {})
  const sign = (kid: string) =>
    new SignJWT({ sub: 'ana', exp: Math.floor(Date.now() / 1000) + 600 })
      .setProtectedHeader({ alg: 'ES256', kid })
      .sign(privateKey)
  vars = { ...vars, TOKEN_SECRET: '', TOKEN_JWKS_URL: `https://issuer.test/${Math.random()}` }
  const come = async (kid: string) => {
    const client = new Client(await worker.fetch(upgradeRequest(OPEN_TOPIC, await sign(kid)), vars), OPEN_TOPIC)
    void client.hello()
    const first = await client.next(() => true)
    return codeOf(first) ?? 'in'
  }

  const flood = await Promise.all(Array.from({ length: 200 }, (_, i) => come(`made up ${i}`)))
  const asked = fetched.mock.calls.length
  up = true

  expect(new Set(flood)).toEqual(new Set(['keys_unavailable']))
  expect(asked).toBeLessThanOrEqual(2)
  await vi.waitFor(async () => expect(await come('good')).toBe('in'), { timeout: 60_000, interval: 250 })
})

test('frames in flight while a token is renewed are judged by the identity that they met, and none by two', async () => {
  const topic = 'open/renewal'
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k' }] }
  // The issuer takes its time, so that frames arrive while the token is being checked. Looked at and not told: who asks is the object.
  let answers = 0
  vi.spyOn(globalThis, 'fetch').mockImplementation(async () => {
    while (answers === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    answers--
    return Response.json(jwks)
  })
  onTestFinished(() => {
    vi.restoreAllMocks()
    Object.assign(settings, { TOKEN_JWKS_URL: '' })
  })
  const narrow = { messkit: { only: [{ on: 'topic', name: 'open/#', can: ['subscribe'] }] } }
  const sign = (claims: object) =>
    new SignJWT({ sub: 'ana', iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 600, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .sign(privateKey)
  const client = await enter(topic, { sub: 'ana', ...narrow })
  const authenticate = async (claims: object) => {
    const token = await sign(claims)
    // Another address each time: what is known would be found at once.
    Object.assign(settings, { TOKEN_JWKS_URL: `https://issuer.test/${Math.random()}` })
    return client.ask('authenticate', { token })
  }
  const publish = async (first: number) => {
    const frame = await client.publish(first, [String(first)], 'publisher-in-flight')
    return codeOf(frame) ?? (frame.result as { fates: { fate: string }[] }).fates[0]?.fate
  }

  const widening = authenticate({})
  await vi.waitFor(() => expect(fetch).toHaveBeenCalledTimes(1))
  const early = await publish(1)
  answers++
  const wide = codeOf(await widening)
  const late = await publish(1)
  const narrowing = authenticate(narrow)
  await vi.waitFor(() => expect(fetch).toHaveBeenCalledTimes(2))
  const inFlight = await publish(2)
  answers++
  const narrowed = codeOf(await narrowing)
  const after = await publish(3)

  expect({ early, wide, late, inFlight, narrowed, after }).toEqual({
    early: 'forbidden',
    wide: undefined,
    late: 'stored',
    inFlight: 'stored',
    narrowed: undefined,
    after: 'forbidden',
  })
})

// ---- rules that change

test('E2, G2 what was taken away while somebody was gone is gone when they come back with their cursor, their own messages, too', async () => {
  const topic = 'left/1'
  await during(`acl allow user:ana all topic name="left/#" from=all\n${RULES}`)
  const ana = await enter(topic, { sub: 'ana' })
  const { cursor } = (await ana.subscribe('start')).result as { cursor: string }
  await ana.publish(1, ['"mine"'])
  ana.close()
  await setPolicy(RULES)

  const back = await open(topic, { sub: 'ana' })
  expect(codeOf(await back.next(() => true))).toBe('forbidden')
  expect(back.texts.join()).not.toContain('mine')
  expect(cursor).toBeDefined()
})

test('E4 a change above reaches what is below it', async () => {
  await during('', [{ group: 'crew', on: 'topic', name: 'ship', can: ['subscribe'] }])
  const member = await enter('ship/deck/1', { sub: 'cy', iss: ISSUER, groups: ['crew'] })
  expect(codeOf(await member.subscribe('now'))).toBeUndefined()

  await setPolicy(RULES)

  expect((await member.closed).code).toBe(4516)
})

test('E13 an object that was out of memory while the policy changed goes by the new one', async () => {
  const topic = 'open/asleep'
  const ana = await enter(topic, { sub: 'ana' })
  await ana.publish(1, ['1'])
  await evictDurableObject(vars.TOPICS.getByName(`topic:main:${topic}`))
  await during('acl allow user:owner all all')

  expect((await ana.closed).code).toBe(4516)
})

test('G4 to subscribe is not to read back, and to read back is not to subscribe', async () => {
  const topic = 'split/1'
  await during(`acl allow user:live subscribe topic name="split/#"
    acl allow user:past history topic name="split/#" from=all\n${RULES}`)
  const owner = await enter(topic, { sub: 'owner' })
  await owner.publish(1, [JSON.stringify(MARKER)])
  const [live, past] = [await enter(topic, { sub: 'live' }), await enter(topic, { sub: 'past' })]

  const answers = [
    codeOf(await live.ask('history', { topic, limit: 1 })),
    codeOf(await past.subscribe('now')),
    codeOf(await past.ask('history', { topic, limit: 1 })),
  ]
  await live.subscribe('start')
  await owner.publish(2, ['2'])
  await live.delivered(2)

  expect(answers).toEqual(['forbidden', 'forbidden', undefined])
  expect(live.texts.join('\n')).not.toContain(MARKER)
  expect(live.frames.filter(({ method }) => method === 'deliver').map((frame) => paramsOf(frame).messages)).toEqual([
    [2],
  ])
})

// ---- helpers

const textsOf = ({ texts }: Client) => ({ text: texts.at(-1) ?? '', all: texts.join('\n') })

async function open(topic: string, claims: object): Promise<Client> {
  return new Client(await worker.fetch(upgradeRequest(topic, await makeToken({ ...claims })), vars), topic)
}

async function enterQueue(queue: string, claims: object): Promise<Client> {
  const request = upgradeRequest(queue, await makeToken({ ...claims }), {}, 'queues')
  const client = new Client(await worker.fetch(request, vars), queue)
  await client.hello()
  return client
}

async function enter(topic: string, claims: object): Promise<Client> {
  const client = await open(topic, claims)
  await client.hello()
  return client
}

async function request(method: string, path: string, claims: object, body?: object, headers: object = {}) {
  return worker.fetch(
    new Request(`https://mess.test${path}`, {
      method,
      headers: { authorization: `Bearer ${await makeToken({ ...claims })}`, ...headers },
      ...(body && { body: JSON.stringify(body) }),
    }),
    vars,
  )
}

async function errorOf(response: Response): Promise<{ code: string }> {
  return ((await response.json()) as { error: { code: string } }).error
}

async function put(path: string, document: object): Promise<void> {
  const { version } = (await (await request('GET', path, { sub: 'root' })).json()) as { version: number }
  const done = await request('PUT', path, { sub: 'root' }, { ...document, ifVersion: version })
  if (done.status !== 200) throw new Error(await done.text())
}

const setPolicy = (rules: string, grants: object[] = []) => put('/v1/admin/policy', { rules, grants })
const setAccess = (topic: string, rules: string) => put(`/v1/admin/access/topics/${topic}`, { rules })

/** A policy for this test alone. */
async function during(rules: string, grants: object[] = []): Promise<void> {
  onTestFinished(() => setPolicy(RULES))
  await setPolicy(rules, grants)
}
