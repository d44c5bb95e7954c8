import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMess } from '@messkit/sdk'
import { type Admin, createAdmin, MessError, PolicyError } from '@messkit/sdk/admin'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

let server: TestServer
let admin: Admin
let topics = 0
let topic = ''
beforeAll(async () => {
  server = await runServer({
    ADMINS: 'root',
    POLICY: 'acl allow user:ana all topic from=all\nacl allow user:ana all queue',
  })
})
afterAll(() => server.end())
beforeEach(() => {
  topic = `admin/${++topics}`
  admin = adminOf('root')
})

const adminOf = (user: string) => createAdmin({ url: server.url, token: () => makeToken({ sub: user }) })
const failure = (work: Promise<unknown>): Promise<MessError> =>
  work.then(
    () => undefined as never,
    (error) => error,
  )

test('a queue has rules and a record of its own, beside those of a topic of its name', async () => {
  const queue = { queue: topic }
  const set = await admin.setAccess(queue, { rules: 'acl allow-log user:bo enqueue queue', ifVersion: 0 })
  await admin.changeAccess(queue, { add: { rules: ['acl deny user:cy all queue'] }, ifVersion: set.version })

  const [ofQueue, ofTopic] = [await admin.access(queue), await admin.access(topic)]
  const { acts } = await admin.queueAudit(topic)

  expect(ofQueue.rules).toBe('acl allow-log user:bo enqueue queue\nacl deny user:cy all queue')
  expect(ofTopic).toMatchObject({ version: 0, rules: '' })
  expect(acts).toEqual([])
})

test('reads, changes and sets the policy, as long as nobody else does meanwhile', async () => {
  const before = await admin.policy()

  const added = await admin.changePolicy({
    add: { rules: ['acl allow group:staff view topic'], grants: [{ group: 'staff', role: 'viewer' }] },
    ifVersion: before.version,
  })
  const late = await failure(admin.setPolicy({ rules: '', ifVersion: before.version }))
  const { groups } = await admin.groups()
  const { findings } = await admin.policy()
  const back = await admin.setPolicy({ ...before, ifVersion: added.version })

  expect(added).toMatchObject({ version: before.version + 1, waiting: 0 })
  expect(late).toMatchObject({ name: 'MessError', code: 'version_conflict', retryable: false, scope: 'mess' })
  expect(groups).toEqual([{ name: 'staff', members: [] }])
  expect(findings).toMatchObject([{ kind: 'unknown-group' }])
  expect(back.version).toBe(added.version + 1)
  expect(await admin.policy()).toMatchObject({ rules: before.rules, grants: [] })
})

test('a policy with mistakes is refused with its lines', async () => {
  const { version } = await admin.policy()

  const error = await failure(admin.setPolicy({ rules: 'acl allow all all all\nacl perhaps all', ifVersion: version }))

  expect(error).toBeInstanceOf(PolicyError)
  expect(error).toMatchObject({ code: 'policy_invalid', retryable: false, problems: [{ line: 2 }] })
  expect((await admin.policy()).version).toBe(version)
})

test('gives a topic rules of its own, and lists what they decide', async () => {
  const { version } = await admin.access(topic)
  const set = await admin.setAccess(topic, { rules: 'acl allow-log user:bo publish topic', ifVersion: version })
  const bo = createMess({ url: server.url, user: 'bo', token: () => makeToken({ sub: 'bo' }) })
  onTestFinished(async () => void (await bo.close()))
  bo.on('error', () => {}) // its rights are taken away below
  await bo.topic(topic).publish('hello')

  const { acts } = await admin.topicAudit(topic, { user: 'bo', outcome: 'allowed' })
  const changed = await admin.changeAccess(topic, {
    remove: { rules: ['acl allow-log user:bo publish topic'] },
    ifVersion: set.version,
  })

  expect([version, set.version, changed.version]).toEqual([0, 1, 2])
  expect(acts).toMatchObject([{ who: 'bo', what: 'publish', outcome: 'allowed', reason: 'own line 1', count: 1 }])
  expect((await admin.access(topic)).rules).toBe('')
})

test('kicks a user, whose client comes back by itself, and revokes, after which it does not', async () => {
  const iat = Math.floor(Date.now() / 1000) - 60
  const ana = createMess({ url: server.url, user: 'ana', token: () => makeToken({ sub: 'ana', iat }) })
  onTestFinished(async () => void (await ana.close()))
  ana.on('error', () => {})
  const seen: unknown[] = []
  await ana.topic(topic).subscribe(({ data }) => void seen.push(data)).ready

  const { links } = await admin.kick({ what: 'user', user: 'ana' })
  await ana.topic(topic).publish('back again')
  await eventually(() => expect(seen).toEqual(['back again']))
  await admin.revoke({ what: 'user', user: 'ana' })

  expect(links).toBe(1)
  await eventually(() => expect(ana.status.connection).not.toBe('online'))
})

test('explains, and lists what was done', async () => {
  const explained = await admin.explain({ user: 'ana', action: 'publish', on: 'topic', name: topic })
  await failure(adminOf('ana').kick({ what: 'user', user: 'root' }))
  const { acts } = await admin.audit({ user: 'ana', outcome: 'refused', limit: 1 })

  expect(explained).toMatchObject({ effect: 'allow', by: 'deployment', line: 1 })
  expect(acts).toMatchObject([{ who: 'ana', what: 'kick', outcome: 'refused', reason: 'forbidden' }])
})

test('failures have codes: who may not, a token that is no good, no server, and no Messkit there', async () => {
  const other = createServer((_, response) => response.end('<html>')).listen(0, '127.0.0.1')
  onTestFinished(() => void other.close())
  await eventually(() => expect(other.listening).toBe(true))
  const elsewhere = `http://127.0.0.1:${(other.address() as AddressInfo).port}`

  const errors = [
    await failure(adminOf('bo').policy()),
    await failure(createAdmin({ url: server.url, token: 'nonsense' }).policy()),
    await failure(createAdmin({ url: 'http://127.0.0.1:9', token: 'x' }).policy()),
    await failure(createAdmin({ url: elsewhere, token: 'x' }).policy()),
  ]

  expect(errors.every((error) => error instanceof MessError)).toBe(true)
  expect(errors.map(({ code, retryable }) => [code, retryable])).toEqual([
    ['forbidden', false],
    ['token_invalid', false],
    ['link_lost', true],
    ['internal', true],
  ])
})
