import { evictDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { PolicyDocument } from '../../packages/edge/src/access/document.ts'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { Client, codeOf, makeToken, paramsOf, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 120_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
/** Groups are believed only of this issuer. */
const ISSUER = 'https://login.example'

let topics = 0
let topic = ''
let vars: Env

beforeEach(() => {
  topic = `access/${++topics}`
  vars = { ...settings, TOKEN_SECRET: SECRET, TOKEN_GROUP_ISSUERS: ISSUER, ADMINS: 'root' }
  // The object reads its own copy.
  Object.assign(settings, { TOKEN_SECRET: SECRET, TOKEN_GROUP_ISSUERS: ISSUER })
})

async function open(user: string, claims: object = {}): Promise<Client> {
  const request = upgradeRequest(topic, await makeToken({ sub: user, ...claims }))
  return new Client(await worker.fetch(request, vars), topic)
}

async function greeted(user: string, claims: object = {}): Promise<Client> {
  const client = await open(user, claims)
  await client.hello()
  return client
}

async function admin(method: string, path: string, body?: object, user = 'root', claims: object = {}) {
  const response = await worker.fetch(
    new Request(`https://mess.test/v1/admin/${path}`, {
      method,
      headers: { authorization: `Bearer ${await makeToken({ sub: user, ...claims })}` },
      ...(body && { body: JSON.stringify(body) }),
    }),
    vars,
  )
  return { status: response.status, body: (await response.json()) as Record<string, unknown> & { version: number } }
}

/** Sets the deployment's policy, and takes it back after the test: other files of tests live by the one that was there. */
async function setPolicy(document: Partial<PolicyDocument>) {
  const { body: before } = await admin('GET', 'policy')
  const set = async (next: object) => {
    const { version } = (await admin('GET', 'policy')).body
    return admin('PUT', 'policy', { ...next, ifVersion: version })
  }
  onTestFinished(async () => {
    const { rules, grants, tests } = before
    await set({ rules, grants, tests })
  })
  const done = await set(document)
  // A change that is meant to be refused is not made through here.
  if (done.status !== 200) throw new Error(JSON.stringify(done))
  return done
}

const setAccess = async (document: Partial<PolicyDocument>, user = 'root') => {
  const { version } = (await admin('GET', `access/topics/${topic}`)).body
  return admin('PUT', `access/topics/${topic}`, { ...document, ifVersion: version }, user)
}

const ALL_BUT = (who: string) => `acl deny ${who} all topic\nacl allow all all all from=all`

test('without the right a link is turned away, and no object is made', async () => {
  await setPolicy({ rules: 'acl allow user:ana subscribe topic name="access/#"' })
  const made = vi.spyOn(vars.TOPICS, 'getByName')

  const stranger = await open('bo')

  expect(await stranger.closed).toEqual({ code: 4516, reason: 'forbidden' })
  expect(codeOf(stranger.frames[0] as never)).toBe('forbidden')
  expect(made).not.toHaveBeenCalled()
})

test('a user does with a topic what the policy lets them do, and no more', async () => {
  await setPolicy({
    rules: [
      'acl deny user:mallory all all',
      'acl allow user:writer publish topic name="access/#"',
      'acl allow user:reader subscribe topic name="access/*"',
    ].join('\n'),
  })
  const [writer, reader] = [await greeted('writer'), await greeted('reader')]

  const answers = [
    await writer.subscribe('now'),
    await reader.publish(1, ['1']),
    await reader.ask('history', { topic, limit: 1 }),
    await reader.subscribe('now'),
    await writer.publish(1, ['1']),
  ]

  expect(answers.map(codeOf)).toEqual(['forbidden', 'forbidden', 'forbidden', undefined, undefined])
  expect(await reader.delivered(1)).toMatchObject([{ messages: [1] }])
})

test('groups of a token count where its issuer is believed, and grants add up', async () => {
  await setPolicy({
    grants: [{ group: 'staff', on: 'topic', name: 'access', can: ['publish', 'subscribe'], from: 'grant' }],
  })

  const member = await greeted('cy', { iss: ISSUER, groups: ['staff'] })
  const pretender = await open('dora', { iss: 'https://elsewhere.example', groups: ['staff'] })

  expect((await member.publish(1, ['1'])).result).toMatchObject({ fates: [{ fate: 'stored' }] })
  expect(await pretender.closed).toMatchObject({ reason: 'forbidden' })
})

test('a token narrows what its user may do', async () => {
  const client = await greeted('ana', { messkit: { only: [{ on: 'topic', name: 'access/#', can: ['subscribe'] }] } })

  expect(codeOf(await client.publish(1, ['1']))).toBe('forbidden')
  expect(codeOf(await client.subscribe('now'))).toBeUndefined()
})

test('whoever comes to a topic that was told of a change while it was empty is reached by the next one', async () => {
  await setPolicy({ rules: 'acl allow all all all from=all' })
  const first = await greeted('ana')
  first.close()
  await first.closed
  await setPolicy({ rules: 'acl allow all all all from=all\nacl deny user:nobody all all' })
  const [loser, keeper] = [await greeted('loser'), await greeted('keeper')]
  await loser.subscribe('now')
  await keeper.subscribe('now')

  const { body: kicked } = await admin('POST', 'kicks', { what: 'user', user: 'keeper' })
  await setPolicy({ rules: ALL_BUT('user:loser') })
  const seen = loser.texts.length
  await (await greeted('ana')).publish(1, ['1'])

  expect(kicked).toMatchObject({ links: 1 })
  expect(await loser.closed).toMatchObject({ code: 4516 })
  expect(loser.texts.slice(seen)).toEqual([])
})

test('a change of the policy reaches live links, and the others lose nothing', async () => {
  const [writer, loser, keeper] = [await greeted('ana'), await greeted('loser'), await greeted('keeper')]
  await loser.subscribe('now')
  await keeper.subscribe('now')
  await writer.publish(1, ['1'])
  await loser.delivered(1)

  const { status, body } = await setPolicy({ rules: ALL_BUT('user:loser') })
  const seen = loser.texts.length
  await writer.publish(2, ['2'])
  await keeper.delivered(2)

  expect(status).toBe(200)
  expect(body).toMatchObject({ told: expect.any(Number), waiting: 0 })
  expect(await loser.closed).toMatchObject({ code: 4516 })
  expect(loser.texts).toHaveLength(seen)
  expect(loser.frames.filter(({ method }) => method === 'deliver').map((frame) => paramsOf(frame).messages)).toEqual([
    [1],
  ])
})

test('a topic has rules of its own, which come before the deployment’s and let in whom those do not', async () => {
  await setPolicy({ rules: 'acl allow user:owner all topic' })
  const outsider = await open('guest')

  const set = await setAccess({ rules: 'acl allow user:guest subscribe topic' })
  const guest = await greeted('guest')
  const stillOut = await open('other')

  expect(await outsider.closed).toMatchObject({ reason: 'forbidden' })
  expect(set).toMatchObject({ status: 200, body: { version: 1 } })
  expect(codeOf(await guest.subscribe('now'))).toBeUndefined()
  expect(await stillOut.closed).toMatchObject({ reason: 'forbidden' })
})

test('history begins where the topic learned of the grant, and with from=all at the start', async () => {
  await setPolicy({ rules: 'acl allow user:ana all topic from=all' })
  const ana = await greeted('ana')
  await ana.publish(1, ['1', '2'])
  await setAccess({
    rules:
      'acl allow user:late subscribe topic\nacl allow user:late history topic\nacl allow user:chief history topic from=all',
  })
  await ana.publish(3, ['3'])

  const [late, chief] = [await greeted('late'), await greeted('chief')]
  const pages = [await late.ask('history', { topic, limit: 10 }), await chief.ask('history', { topic, limit: 10 })]
  await late.subscribe('start')

  expect(pages.map(({ result }) => (result as { messages: unknown[] }).messages)).toEqual([[3], [1, 2, 3]])
  expect(await late.delivered(3)).toMatchObject([{ first: 2, messages: [3] }])
})

test('a right that was taken away while the object was out of memory is gone when it wakes', async () => {
  const [writer, loser] = [await greeted('ana'), await greeted('loser')]
  await loser.subscribe('now')
  await writer.publish(1, ['1'])
  await loser.delivered(1)
  await evictDurableObject(vars.TOPICS.getByName(`topic:main:${topic}`))

  await setPolicy({ rules: ALL_BUT('user:loser') })
  await writer.publish(2, ['2'])

  expect(await loser.closed).toMatchObject({ code: 4516 })
  expect(loser.frames.filter(({ method }) => method === 'deliver')).toHaveLength(1)
})

test('a token, a user and a group that are revoked count no more, on live links, too', async () => {
  await setPolicy({ rules: 'acl allow group:staff all topic\nacl allow user:zoe all topic' })
  const [byToken, byGroup, byUser] = [
    await greeted('zoe', { jti: 'stolen' }),
    await greeted('yan', { iss: ISSUER, groups: ['staff'], iat: Math.floor(Date.now() / 1000) - 5 }),
    await greeted('zoe', { jti: 'other', iat: Math.floor(Date.now() / 1000) - 5 }),
  ]

  await admin('POST', 'revocations', { what: 'token', id: 'stolen' })
  const afterToken = await byUser.publish(1, ['1'])
  await admin('POST', 'revocations', { what: 'group', group: 'staff' })
  await admin('POST', 'revocations', { what: 'user', user: 'zoe' })

  expect((await byToken.closed).code).toBe(4516)
  expect(afterToken.result).toBeDefined()
  expect((await byGroup.closed).code).toBe(4516)
  expect((await byUser.closed).code).toBe(4516)
})

test('only administrators administer, and what they did is recorded', async () => {
  await setPolicy({ rules: 'acl allow user:viewer view server\nacl allow all all topic' })
  const refused = [
    await admin('GET', 'policy', undefined, 'bo'),
    await admin('PUT', 'policy', { rules: '', ifVersion: 0 }, 'viewer'),
    await admin('POST', 'revocations', { what: 'user', user: 'root' }, 'bo'),
    await admin('GET', 'audit', undefined, 'bo'),
  ]
  const seen = await admin('GET', 'audit?limit=3', undefined, 'viewer')

  expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403])
  expect(seen.body.acts).toMatchObject([
    { who: 'bo', what: 'revoke', outcome: 'refused' },
    { who: 'viewer', what: 'set policy', outcome: 'refused' },
    { who: 'root', what: 'set policy', outcome: 'done' },
  ])
})

test('one bad line refuses the whole change, a failing test too, and so does a change by somebody else', async () => {
  const { version } = (await admin('GET', 'policy')).body

  const bad = await admin('PUT', 'policy', { rules: 'acl allow all all all\nacl perhaps all', ifVersion: version })
  const failing = await admin('PUT', 'policy', {
    rules: 'acl allow all all all',
    tests: [{ id: 'nobody deletes', request: { user: 'ana', action: 'delete', object: 'topic' }, expect: 'deny' }],
    ifVersion: version,
  })
  const late = await admin('PUT', 'policy', { rules: '', ifVersion: version + 7 })

  const unkept = await admin('PUT', 'policy', {
    rules: 'acl allow owner publish topic\nacl allow owner all topic',
    ifVersion: version,
  })

  expect(unkept).toMatchObject({ status: 422, body: { error: { problems: [{ line: 1 }, { line: 2 }] } } })
  expect(bad).toMatchObject({ status: 422, body: { error: { code: 'policy_invalid', line: 2 } } })
  expect(failing).toMatchObject({ status: 422, body: { error: { code: 'policy_invalid', kind: 'bad-test' } } })
  expect(late).toMatchObject({ status: 409, body: { error: { code: 'version_conflict' } } })
  expect((await admin('GET', 'policy')).body.version).toBe(version)
})

test('nobody gives what they do not hold, and the last administrator stays one', async () => {
  await setPolicy({
    rules: 'acl allow user:chief all server\nacl allow user:host grant topic\nacl allow user:host publish topic',
  })
  const { version } = (await admin('GET', 'policy')).body

  const out = await admin('PUT', 'policy', { rules: 'acl allow all all topic', ifVersion: version }, 'chief')
  const more = await setAccess({ rules: 'acl allow user:friend subscribe topic' }, 'host')
  const same = await setAccess({ rules: 'acl allow user:friend publish topic' }, 'host')

  expect(out).toMatchObject({ status: 409, body: { error: { code: 'not_held' } } })
  expect(more).toMatchObject({ status: 409, body: { error: { code: 'not_held' } } })
  expect(same.status).toBe(200)
})

test('explains who may do what, and why', async () => {
  await setPolicy({ rules: 'acl deny user:mallory publish topic\nacl allow all publish topic' })

  const ask = (user: string) => admin('POST', 'explain', { user, action: 'publish', on: 'topic', name: 'rooms/1' })

  expect((await ask('mallory')).body).toMatchObject({ effect: 'deny', by: 'deployment', line: 1 })
  expect((await ask('ana')).body).toMatchObject({ effect: 'allow', by: 'deployment', line: 2 })
})

test('explains a topic by its own rules, too', async () => {
  await setPolicy({ rules: 'acl allow user:ana subscribe topic' })
  await setAccess({ rules: 'acl deny user:ana subscribe topic\nacl allow user:bo subscribe topic' })

  const ask = (user: string) => admin('POST', 'explain', { user, action: 'subscribe', on: 'topic', name: topic })

  expect((await ask('ana')).body).toMatchObject({ effect: 'deny', by: 'own', line: 1 })
  expect((await ask('bo')).body).toMatchObject({ effect: 'allow', by: 'own', line: 2 })
})

/** How a right is taken away in one round: how the loser comes in, what is done, and what undoes it. */
interface Taking {
  readonly rules: string
  claims(round: number): object
  take(round: number): Promise<{ status: number }>
  giveBack?(): Promise<unknown>
}

const ROUNDS = 200
const EVERY_ROUND = Array.from({ length: ROUNDS }, (_, round) => round)

const TAKINGS: Record<string, Taking> = {
  'a topic’s own rule': {
    rules: 'acl allow all all all from=all',
    claims: () => ({}),
    take: () => setAccess({ rules: 'acl deny user:loser subscribe topic' }),
    giveBack: () => setAccess({ rules: '' }),
  },
  'a group': {
    rules: [
      ...EVERY_ROUND.map((round) => `acl allow group:g${round} all topic`),
      'acl allow user:ana all all',
      'acl allow user:keeper all all',
    ].join('\n'),
    claims: (round) => ({ iss: ISSUER, groups: [`g${round}`] }),
    take: (round) => admin('POST', 'revocations', { what: 'group', group: `g${round}` }),
  },
  'a token': {
    rules: 'acl allow all all all',
    claims: (round) => ({ jti: `t${round}` }),
    take: (round) => admin('POST', 'revocations', { what: 'token', id: `t${round}` }),
  },
}

test.each(Object.entries(TAKINGS))(
  '%s is taken away two hundred times under a storm of messages: no frame after that, and nobody else misses one',
  async (_, { rules, claims, take, giveBack }) => {
    await setPolicy({ rules })
    const writer = await greeted('ana')
    const keeper = await greeted('keeper')
    await keeper.subscribe('now')
    keeper.creditAlways()
    let sent = 0
    let storming = true
    onTestFinished(() => {
      storming = false
    })
    let told = (): void => {}
    const storm = (async () => {
      for (; storming; told()) await writer.publish(++sent, [String(sent)])
    })()
    const twoMore = async (): Promise<void> => {
      const until = sent + 2
      while (sent < until) await new Promise<void>((resolve) => (told = resolve))
    }
    for (const round of EVERY_ROUND) {
      const loser = await greeted('loser', claims(round))
      await loser.subscribe('now')
      loser.creditAlways()
      const { status } = await take(round)
      const seen = loser.texts.length
      await twoMore()
      expect([round, status, loser.texts.length]).toEqual([round, 200, seen])
      expect((await loser.closed).code).toBeGreaterThanOrEqual(4403)
      await giveBack?.()
    }
    storming = false
    await storm

    const ranges = await keeper.delivered(sent)
    expect(ranges.flatMap(({ messages }) => messages)).toEqual(Array.from({ length: sent }, (_, i) => i + 1))
  },
)
