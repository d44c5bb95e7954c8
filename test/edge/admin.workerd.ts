import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { digestOf } from '../../packages/edge/src/access/digest.ts'
import { readNews } from '../../packages/edge/src/access/news.ts'
import { ROLES } from '../../packages/edge/src/access/roles.ts'
import { CALLS, type Call } from '../../packages/edge/src/admin/calls.ts'
import type { AuditRecord } from '../../packages/edge/src/audit/records.ts'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { directoryOf } from '../../packages/edge/src/objects/stubs.ts'
import { ROW_LIMIT_BYTES } from '../../packages/edge/src/store/layout.ts'
import { codeOf } from './client.ts'
import { Deployment, member, ROOT } from './deployment.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 120_000 })

const settings = env as unknown as Env
let topics = 0
let topic = ''
let here: Deployment<Env>

beforeEach(() => {
  topic = `admin/${++topics}`
  here = new Deployment(worker, settings)
})

const directory = () => settings.DIRECTORY.getByName('directory:main')
const at = (call: string) => call.replace(/:(topic|queue)/, topic)
const version = async (call: string) => (await here.call(at(call))).body.version

describe('roles', () => {
  type Who = keyof typeof ROLES | 'nobody' | 'their manager'
  /** Every call, and who may make it. */
  const MAY: Record<Call, readonly Who[]> = {
    'GET /policy': ['viewer', 'operator', 'admin'],
    'PUT /policy': ['admin'],
    'PATCH /policy': ['admin'],
    'GET /groups': ['viewer', 'operator', 'admin'],
    'GET /access/topics/:topic': ['viewer', 'operator', 'admin', 'their manager'],
    'PUT /access/topics/:topic': ['admin', 'their manager'],
    'PATCH /access/topics/:topic': ['admin', 'their manager'],
    'GET /access/queues/:queue': ['viewer', 'operator', 'admin', 'their manager'],
    'PUT /access/queues/:queue': ['admin', 'their manager'],
    'PATCH /access/queues/:queue': ['admin', 'their manager'],
    'POST /revocations': ['operator', 'admin'],
    'POST /kicks': ['operator', 'admin'],
    'POST /explain': ['viewer', 'operator', 'admin'],
    'GET /audit': ['viewer', 'operator', 'admin'],
    'GET /audit/topics/:topic': ['viewer', 'operator', 'admin', 'their manager'],
    'GET /audit/queues/:queue': ['viewer', 'operator', 'admin', 'their manager'],
  }
  const EVERYBODY: readonly Who[] = ['nobody', 'viewer', 'operator', 'admin', 'their manager']
  const cases = Object.entries(MAY).flatMap(([call, may]) => EVERYBODY.map((who) => [who, call, may] as const))

  test('every call has a row here', () => {
    expect(Object.keys(CALLS).toSorted()).toEqual(Object.keys(MAY).toSorted())
  })

  test.each(cases)('%s and %s', async (who, call, may) => {
    await here.setPolicy({
      rules: ['topic', 'queue']
        .map((kind) => `acl allow user:manager view ${kind}\nacl allow user:manager grant ${kind}`)
        .join('\n'),
      grants: [
        { group: 'viewers', role: 'viewer' },
        { group: 'operators', role: 'operator' },
        { group: 'admins', role: 'admin' },
      ],
    })
    const claims = who in ROLES ? member(`${who}s`) : {}

    // A body that is no good: whoever may is told so, and nothing is changed.
    const body = call.startsWith('GET') ? undefined : { nonsense: true }
    const { status } = await here.call(at(call), body, who === 'their manager' ? 'manager' : 'somebody', claims)

    if (!may.includes(who)) expect(status).toBe(403)
    else expect(status).toBe(call.startsWith('GET') ? 200 : 400)
  })
})

describe('nobody gives what they do not hold', () => {
  const held = async (document: object, user: string, claims: object = {}) => {
    const ifVersion = await version('GET /access/topics/:topic')
    return here.call(at('PUT /access/topics/:topic'), { ...document, ifVersion }, user, claims)
  }
  const HOST = 'acl allow user:host grant topic\nacl allow user:host publish topic\nacl allow user:host history topic'
  const REFUSED = { status: 409, body: { error: { code: 'not_held' } } }

  test.each([
    ['another right, by a rule', { rules: 'acl allow user:friend subscribe topic' }],
    ['all rights', { rules: 'acl allow user:friend all topic' }],
    ['all rights on everything', { rules: 'acl allow all all all' }],
    ['another right, by a pattern', { rules: 'acl allow user:friend subscribe topic name="#"' }],
    ['another right, by a grant', { grants: [{ group: 'friends', on: 'topic', can: ['publish', 'subscribe'] }] }],
    ['a longer history', { rules: 'acl allow user:friend history topic from=all' }],
    ['a longer history, by a grant', { grants: [{ group: 'friends', on: 'topic', can: ['history'], from: 'all' }] }],
    ['themselves more', { rules: 'acl allow user:host all topic from=all' }],
  ])('to a topic: %s', async (_, document) => {
    await here.setPolicy({ rules: HOST })

    expect(await held(document, 'host')).toMatchObject(REFUSED)
  })

  test('to a topic: what they hold they give', async () => {
    await here.setPolicy({ rules: HOST })

    const given = await held(
      { rules: 'acl allow user:friend publish topic\nacl allow user:friend grant topic' },
      'host',
    )
    const passedOn = await held({ rules: 'acl allow user:friend publish topic' }, 'friend')

    expect([given.status, passedOn.status]).toEqual([200, 200])
  })

  test('to a topic: what others gave there may stay, and be taken away, but not be moved or widened', async () => {
    await here.setPolicy({ rules: HOST })
    const theirs = 'group crew user:ana\nacl deny user:bo subscribe topic\nacl allow group:crew subscribe topic'
    await held({ rules: theirs }, ROOT)

    const more = await held({ rules: `${theirs}\nacl allow user:friend publish topic` }, 'host')
    const wider = await held({ rules: theirs.replace('user:ana', 'user:ana user:bo') }, 'host')
    const moved = await held({ rules: theirs.split('\n').toReversed().join('\n') }, 'host')
    const withoutDeny = await held({ rules: theirs.replace(/acl deny.*\n/, '') }, 'host')
    const less = await held({ rules: theirs.replace(/\nacl allow.*/, '') }, 'host')

    expect([more.status, wider.status, moved.status, withoutDeny.status, less.status]).toEqual([
      200, 409, 409, 409, 200,
    ])
  })

  test('to a topic: a limit that others live under is not lifted by whoever lives under it, too', async () => {
    await here.setPolicy({ rules: 'acl allow user:host grant topic' })
    await held({ rules: 'acl allow all publish topic limit-rate=1/h' }, ROOT)

    const without = await held({ rules: 'acl allow all publish topic' }, 'host')
    const other = await held({ rules: 'acl allow all publish topic limit-rate=1000/s' }, 'host')
    const same = await held(
      { rules: 'acl allow all publish topic limit-rate=1/h\nacl deny user:bo publish topic' },
      'host',
    )

    expect([without, other]).toMatchObject([REFUSED, REFUSED])
    expect(same.status).toBe(200)
  })

  test('with a token for one topic nobody gives away another right than the token is good for', async () => {
    const only = { messkit: { only: [{ on: 'topic', name: `${topic}`, can: ['grant', 'publish'] }] } }

    const more = await held({ rules: 'acl allow user:friend subscribe topic' }, 'ana', only)
    const same = await held({ rules: 'acl allow user:friend publish topic' }, 'ana', only)

    expect(more).toMatchObject(REFUSED)
    expect(same.status).toBe(200)
  })

  test.each([
    ['a wider pattern', 'acl allow user:friend publish topic name="#"', 409],
    ['no pattern', 'acl allow user:friend publish topic', 409],
    ['everything', 'acl allow user:friend all all', 409],
    ['a pattern with somebody’s name in it', `acl allow all publish topic name=["rooms/\${user}/a/b", "x"]`, 409],
    ['a role', 'acl allow user:friend view server', 409],
    ['what it is good for', 'acl allow user:friend publish topic name="rooms/1"', 200],
  ])('with a narrowed token an administrator does not give more than it is good for: %s', async (_, rule, status) => {
    await here.setPolicy({ rules: 'acl allow user:chief all all' })
    const only = [
      { on: 'server', can: ['admin'] },
      { on: 'topic', name: 'rooms/#', can: ['publish'] },
    ]
    const ifVersion = await version('GET /policy')

    const answer = await here.call('PATCH /policy', { add: { rules: [rule] }, ifVersion }, 'chief', {
      messkit: { only },
    })

    expect(answer.status).toBe(status)
  })

  test('with a narrowed token an administrator gives of a topic what it is good for there', async () => {
    await here.setPolicy({ rules: 'acl allow user:chief all all' })
    const only = [
      { on: 'server', can: ['admin'] },
      { on: 'topic', name: 'admin/#', can: ['publish'] },
    ]
    const give = (rule: string) =>
      here.call(at('PATCH /access/topics/:topic'), { add: { rules: [rule] }, ifVersion: 0 }, 'chief', {
        messkit: { only },
      })

    const more = await give('acl allow user:friend subscribe topic')
    const same = await give('acl allow user:friend publish topic')

    expect([more.status, same.status]).toEqual([409, 200])
  })

  test('a narrowed token of a root is no root', async () => {
    await here.setPolicy({ rules: 'acl allow user:ana view server' })
    const only = { messkit: { only: [{ on: 'server', can: ['admin'] }] } }

    expect((await here.call('GET /policy', undefined, ROOT, only)).status).toBe(403)
  })

  test('the last administrator stays one where nobody is named by the deployment', async () => {
    await here.setPolicy({ rules: 'acl allow user:chief all server' })
    here = new Deployment(worker, settings, { ADMINS: '' })
    const { version: ifVersion } = (await here.call('GET /policy', undefined, 'chief')).body

    const changes = [
      await here.call('PUT /policy', { rules: 'acl allow all all topic', ifVersion }, 'chief'),
      await here.call('PATCH /policy', { remove: { rules: ['acl allow user:chief all server'] }, ifVersion }, 'chief'),
      await here.call('PATCH /policy', { add: { rules: ['must acl deny all admin server'] }, ifVersion }, 'chief'),
    ]
    const { version: after } = (await here.call('GET /policy', undefined, 'chief')).body

    expect(changes.map(({ body }) => body.error?.code)).toEqual(['not_held', 'not_held', 'not_held'])
    expect(after).toBe(ifVersion)
  })
})

describe('single rules and grants', () => {
  test('are added and removed without the rest', async () => {
    await here.setPolicy({
      rules:
        '# who is who\ngroup staff user:ana \\\n  user:bo\n\nacl allow group:staff  publish topic\nacl allow all view server',
      grants: [{ group: 'staff', on: 'topic', name: 'rooms', can: ['subscribe'] }],
    })

    const added = await here.call('PATCH /policy', {
      add: {
        rules: ['acl deny user:mallory   all all # for good'],
        before: 5,
        grants: [{ group: 'ops', role: 'operator' }],
      },
      ifVersion: await version('GET /policy'),
    })
    const { rules, grants } = (await here.call('GET /policy')).body
    const removed = await here.call('PATCH /policy', {
      remove: {
        rules: ['group staff user:ana user:bo', 'acl allow group:staff publish topic'],
        grants: [{ group: 'ops', on: 'server', can: ['change', 'view'] }],
      },
      ifVersion: await version('GET /policy'),
    })
    const after = (await here.call('GET /policy')).body

    expect([added.status, removed.status]).toEqual([200, 200])
    expect((rules as string).split('\n').slice(3)).toEqual([
      '',
      'acl deny user:mallory all all',
      'acl allow group:staff  publish topic',
      'acl allow all view server',
    ])
    expect(grants).toHaveLength(2)
    expect(after.rules).toBe('# who is who\n\nacl deny user:mallory all all\nacl allow all view server')
    expect(after.grants).toEqual([{ group: 'staff', on: 'topic', name: 'rooms', can: ['subscribe'] }])
  })

  test('of a topic, likewise', async () => {
    const add = {
      rules: ['acl allow user:guest subscribe topic'],
      grants: [{ group: 'crew', on: 'topic', can: ['view'] }],
    }
    const added = await here.call(at('PATCH /access/topics/:topic'), { add, ifVersion: 0 })
    const late = await here.call(at('PATCH /access/topics/:topic'), { remove: add, ifVersion: 0 })
    const removed = await here.call(at('PATCH /access/topics/:topic'), { remove: add, ifVersion: 1 })
    const after = (await here.call(at('GET /access/topics/:topic'))).body

    expect(added).toMatchObject({ status: 200, body: { version: 1 } })
    expect(late).toMatchObject({ status: 409, body: { error: { code: 'version_conflict' } } })
    expect(removed).toMatchObject({ status: 200, body: { version: 2 } })
    expect(after).toMatchObject({ rules: '', grants: [] })
  })

  test.each([
    ['a rule that is not there', { remove: { rules: ['acl allow user:nobody publish topic'] } }, 404, 'not_found'],
    ['a grant that is not there', { remove: { grants: [{ group: 'x', role: 'viewer' }] } }, 404, 'not_found'],
    ['two rules in one', { add: { rules: ['acl deny user:a all all\nacl allow all all all'] } }, 400, 'bad_params'],
    ['no rule', { add: { rules: ['# nothing'] } }, 400, 'bad_params'],
    ['a rule with a mistake', { add: { rules: ['acl perhaps all all'] } }, 422, 'policy_invalid'],
    ['the same with another permission', { add: { rules: ['acl deny all all all from=all'] } }, 422, 'policy_invalid'],
  ])('are refused as a whole: %s', async (_, patch, status, code) => {
    await here.setPolicy({ rules: 'acl allow all all all from=all' })
    const ifVersion = await version('GET /policy')

    const answer = await here.call('PATCH /policy', { ...patch, ifVersion })

    expect(answer).toMatchObject({ status, body: { error: { code } } })
    expect(await version('GET /policy')).toBe(ifVersion)
  })

  test('a line that would go on in the next one does not', async () => {
    await here.setPolicy({ rules: 'acl deny user:mallory all all\nacl allow all view server' })

    await here.call('PATCH /policy', {
      add: { rules: ['group quiet user:zoe \\'], before: 1 },
      ifVersion: await version('GET /policy'),
    })

    expect((await here.call('GET /policy')).body.rules).toBe(
      'group quiet user:zoe\nacl deny user:mallory all all\nacl allow all view server',
    )
  })

  test('groups are listed with the members that the policy names', async () => {
    await here.setPolicy({
      rules: 'group staff user:ana group:night\ngroup night user:bo\nacl allow group:guests view server',
      grants: [{ group: 'ops', role: 'operator' }],
    })

    expect((await here.call('GET /groups')).body.groups).toEqual([
      { name: 'guests', members: [] },
      { name: 'night', members: ['user:bo'] },
      { name: 'ops', members: [] },
      { name: 'staff', members: ['user:ana', 'group:night'] },
    ])
  })

  test('a topic is not made, and not marked, by a change that is not accepted', async () => {
    await here.setPolicy({ rules: 'acl allow user:ana subscribe topic' })
    const made = vi.spyOn(here.vars.TOPICS, 'getByName')
    onTestFinished(() => made.mockRestore())

    const late = await here.call(at('PUT /access/topics/:topic'), { rules: '', ifVersion: 7 })
    const bad = await here.call(at('PUT /access/topics/:topic'), { rules: 'acl perhaps', ifVersion: 0 })
    const stranger = await here.open(topic, 'bo')

    expect([late.status, bad.status]).toEqual([409, 422])
    expect(await stranger.closed).toMatchObject({ reason: 'forbidden' })
    expect(made).not.toHaveBeenCalled()
  })
})

describe('kicks', () => {
  test('end the links of a user, also hibernated ones, and the user may come back', async () => {
    const [ana, phone, bo] = [
      await here.greeted(topic, 'ana'),
      await here.greeted(`${topic}/other`, 'ana'),
      await here.greeted(topic, 'bo'),
    ]

    await evictDurableObject(settings.TOPICS.getByName(`topic:main:${topic}`))

    const { status, body } = await here.call('POST /kicks', { what: 'user', user: 'ana' })
    const again = await here.greeted(topic, 'ana')

    expect({ status, body }).toEqual({ status: 200, body: { links: 2, waiting: 0 } })
    expect(await ana.closed).toEqual({ code: 4405, reason: 'kicked' })
    expect(ana.frames.at(-1)).toMatchObject({ method: 'goodbye', params: { code: 'kicked', retryable: true } })
    expect((await phone.closed).code).toBe(4405)
    expect(codeOf(await bo.subscribe('now'))).toBeUndefined()
    expect(codeOf(await again.subscribe('now'))).toBeUndefined()
  })

  test('end the links of a token, and of a group by token or by policy', async () => {
    await here.setPolicy({ rules: 'group crew user:cy\nacl allow all all topic' })
    const [stolen, other, byToken, byPolicy] = [
      await here.greeted(topic, 'zoe', { jti: 'stolen' }),
      await here.greeted(topic, 'zoe', { jti: 'other' }),
      await here.greeted(topic, 'yan', member('crew')),
      await here.greeted(topic, 'cy'),
    ]

    const one = await here.call('POST /kicks', { what: 'token', id: 'stolen' })
    const two = await here.call('POST /kicks', { what: 'group', group: 'crew' })

    expect([one.body.links, two.body.links]).toEqual([1, 2])
    const codes = await Promise.all([stolen, byToken, byPolicy].map(async ({ closed }) => (await closed).code))
    expect(codes).toEqual([4405, 4405, 4405])
    expect(codeOf(await other.subscribe('now'))).toBeUndefined()
  })
})

describe('revocations', () => {
  const REVOKE = 'group ops user:oscar\nacl allow group:ops change server\nacl allow user:yan publish topic'

  test('of administrators whom the deployment names are for those alone', async () => {
    await here.setPolicy({ rules: REVOKE })

    const answer = await here.call('POST /revocations', { what: 'user', user: ROOT }, 'oscar')
    const other = await here.call('POST /revocations', { what: 'user', user: 'yan' }, 'oscar')

    expect(answer).toMatchObject({ status: 409, body: { error: { code: 'not_held' } } })
    expect(other.status).toBe(200)
    expect((await here.call('GET /policy')).status).toBe(200)
  })

  test('of the same token again do not push out others', async () => {
    for (let i = 0; i < 3; i++) await here.call('POST /revocations', { what: 'token', id: topic })
    const digest = await digestOf(topic)

    const { revoked } = readNews((await directoryOf(here.vars).news(-1)) ?? '')

    expect(revoked.tokens.filter((token) => token === digest)).toHaveLength(1)
  })

  test('and kicks are recorded with whom they are about', async () => {
    await here.call('POST /kicks', { what: 'group', group: 'crew' })
    await here.call('POST /kicks', { what: 'user', user: 'mallory', issuer: 'https://login.example' })
    await here.call('POST /revocations', { what: 'token', id: 'one' })

    const { acts } = (await here.call('GET /audit?limit=3')).body

    expect((acts as AuditRecord[]).map(({ what, object }) => `${what} ${object}`)).toEqual([
      'revoke token one',
      'kick user https://login.example mallory',
      'kick group crew',
    ])
  })
})

test('a policy that is larger than a row is kept, over a restart, too', async () => {
  const rule = (i: number) =>
    `acl allow user:u${i} publish topic name="${'x'.repeat(60)}/${'y'.repeat(60)}/${'z'.repeat(50)}"`
  const rules = Array.from({ length: 12_000 }, (_, i) => rule(i)).join('\n')
  await here.setPolicy({ rules })
  const rows = () =>
    runInDurableObject(directory(), (_, { storage }) =>
      storage.sql.exec('select max(length(news)) as chars from policy').one(),
    )

  await evictDurableObject(directory())

  expect(JSON.stringify(rules).length).toBeGreaterThan(ROW_LIMIT_BYTES)
  expect((await rows()).chars).toBeLessThanOrEqual(ROW_LIMIT_BYTES / 3)
  expect((await here.call('GET /policy')).body.rules).toBe(rules)
})

test('more objects than one event can reach are told by the next ones', async () => {
  const MANY = 620
  const stub = directory()
  for (let i = 0; i < MANY; i++) await stub.enrol(`${topic}/${i}`, 0)
  const kicked = await here.greeted(`${topic}/z`, 'loser')

  const kick = (await here.call('POST /kicks', { what: 'user', user: 'loser' })).body
  while (await runDurableObjectAlarm(stub)) {}
  expect(kick).toMatchObject({ links: 0 })
  expect(kick.waiting).toBeGreaterThanOrEqual(MANY + 1 - 500)
  expect(await kicked.closed).toMatchObject({ code: 4405 })

  const last = await here.greeted(`${topic}/z`, 'loser')
  const { body } = await here.setPolicy({ rules: 'acl deny user:loser all topic\nacl allow all all all from=all' })
  expect(body).toMatchObject({ told: 500, waiting: expect.any(Number) })
  expect(body.waiting).toBeGreaterThanOrEqual(MANY + 1 - 500)
  while (await runDurableObjectAlarm(stub)) {}

  expect(await last.closed).toMatchObject({ code: 4516 })
  // None of them has a link, so none is told again.
  expect((await here.setPolicy({ rules: 'acl allow all all all from=all' })).body).toMatchObject({ waiting: 0 })
})
