import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { type AuditRecord, Records } from '../../packages/edge/src/audit/records.ts'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { makeToken } from './client.ts'
import { Deployment, ISSUER, member } from './deployment.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 120_000 })

const settings = env as unknown as Env
let topics = 0
let topic = ''
let here: Deployment<Env>

beforeEach(() => {
  topic = `audit/${++topics}`
  here = new Deployment(worker, settings)
})

const stub = () => settings.TOPICS.getByName(`topic:main:${topic}`)
const audit = async (query = '') =>
  ((await here.call(`GET /audit/topics/${topic}${query}`)).body.acts as (AuditRecord & { id: number })[]).toReversed()
const brief = ({ who, what, outcome, count }: AuditRecord) => [who, what, outcome, count]

const LOGGED = [
  'acl allow-log all publish topic',
  'acl deny-log user:bo subscribe topic',
  'acl allow all subscribe topic',
  'acl allow-log all history topic from=all',
].join('\n')

test('what a rule with -log decides has a row a frame, with who, what and the rule', async () => {
  await here.setPolicy({ rules: LOGGED })
  const [ana, yan] = [await here.greeted(topic, 'ana'), await here.greeted(topic, 'yan', member('crew'))]

  await ana.publish(1, ['"secret one"', '"secret two"'])
  await yan.publish(1, ['"secret three"'], 'publisher-of-yan')
  await ana.subscribe('now')
  await ana.ask('history', { topic, limit: 1 })
  await ana.subscribe('start', { subscription: 2 })
  const rows = await audit()

  expect(rows.map(brief)).toEqual([
    ['ana', 'publish', 'allowed', 2],
    [`${ISSUER} yan`, 'publish', 'allowed', 1],
    ['ana', 'history', 'allowed', 1],
    // Whoever subscribes from the start reads history.
    ['ana', 'history', 'allowed', 1],
  ])
  expect(rows[0]).toMatchObject({ object: `topic ${topic}`, reason: 'deployment line 1', at: expect.any(Number) })
  expect(JSON.stringify(rows)).not.toContain('secret')
})

test('refusals are one row for a user, an action and a minute, with their count, also if memory is lost', async () => {
  // A minute that does not end meanwhile.
  const now = Date.now()
  vi.spyOn(Date, 'now').mockReturnValue(now)
  onTestFinished(() => void vi.restoreAllMocks())
  await here.setPolicy({ rules: LOGGED })
  const bo = await here.greeted(topic, 'bo')

  for (let i = 1; i <= 5; i++) await bo.subscribe('now', { subscription: i })
  const five = await audit('?outcome=refused')
  await evictDurableObject(stub())
  await bo.subscribe('now', { subscription: 6 })
  const six = await audit('?outcome=refused&user=bo')

  expect(five.map(brief)).toEqual([['bo', 'subscribe', 'refused', 5]])
  expect(five[0]).toMatchObject({ reason: 'deployment line 2', at: now - (now % 60_000) })
  expect(six.reduce((sum, { count }) => sum + count, 0)).toBe(6)
  expect(await audit('?outcome=refused&user=ana')).toEqual([])
})

test('a storm of refusals costs few rows', async () => {
  const now = Date.now()
  vi.spyOn(Date, 'now').mockReturnValue(now)
  onTestFinished(() => void vi.restoreAllMocks())
  await here.setPolicy({ rules: LOGGED })
  const bo = await here.greeted(topic, 'bo')
  const [added, rewritten] = [vi.spyOn(Records.prototype, 'add'), vi.spyOn(Records.prototype, 'setCount')]

  for (let i = 1; i <= 1_000; i++) await bo.subscribe('now', { subscription: i })

  expect(added).toHaveBeenCalledTimes(1)
  expect(rewritten.mock.calls.length).toBeLessThanOrEqual(10)
  expect((await audit()).map(brief)).toEqual([['bo', 'subscribe', 'refused', 1_000]])
})

test('frames that nobody decides about are not recorded', async () => {
  await here.setPolicy({ rules: LOGGED })
  const early = await here.open(topic, 'cy')
  const ana = await here.greeted(topic, 'ana')

  await early.publish(1, ['1'])
  await ana.ask('history', { topic: 'another', limit: 1 })
  await ana.ask('history', { topic })

  expect(await audit()).toEqual([])
})

test('goes by the rules of the moment, and by those of the topic', async () => {
  await here.setPolicy({ rules: 'acl allow all all topic' })
  const ana = await here.greeted(topic, 'ana')

  await ana.publish(1, ['1'])
  await here.call(`PUT /access/topics/${topic}`, { rules: 'acl allow-log user:ana publish topic', ifVersion: 0 })
  await ana.publish(2, ['2'])
  await evictDurableObject(stub())
  await ana.publish(3, ['3'])
  await here.call(`PUT /access/topics/${topic}`, { rules: '', ifVersion: 1 })
  await ana.publish(4, ['4'])

  expect((await audit()).map(({ what, reason }) => [what, reason])).toEqual([
    ['publish', 'own line 1'],
    ['publish', 'own line 1'],
  ])
})

test('who is turned away by the topic’s own rules is recorded there', async () => {
  await here.setPolicy({ rules: '' })
  await here.call(`PUT /access/topics/${topic}`, { rules: 'acl deny-log user:bo all topic', ifVersion: 0 })

  const bo = await here.open(topic, 'bo')

  expect(await bo.closed).toMatchObject({ reason: 'forbidden' })
  expect((await audit()).map(brief)).toEqual([['bo', 'enter', 'refused', 1]])
})

test('a topic without such a rule has no table for it', async () => {
  await here.setPolicy({ rules: 'acl allow all all topic' })
  const ana = await here.greeted(topic, 'ana')
  await ana.publish(1, ['1'])

  const tables = await runInDurableObject(stub(), (_, { storage }) =>
    storage.sql
      .exec('select name from sqlite_master')
      .toArray()
      .map(({ name }) => name),
  )

  expect(tables).not.toContain('record')
})

test('pages of the audit lead through all of it, and the bound holds', async () => {
  const ROWS = 10_600
  await runInDurableObject(stub(), (object) => {
    const records = new Records((object as unknown as { ctx: { storage: { sql: SqlStorage } } }).ctx.storage.sql)
    for (let i = 1; i <= ROWS; i++)
      records.add({ at: i, who: 'ana', what: 'publish', object: 'x', outcome: 'allowed', reason: '', count: 1 })
  })
  const ids: number[] = []
  for (let before = ''; ; before = `&before=${ids.at(-1)}`) {
    const { body } = await here.call(`GET /audit/topics/${topic}?limit=200${before}`)
    const acts = body.acts as { id: number }[]
    if (acts.length === 0) break
    ids.push(...acts.map(({ id }) => id))
  }

  expect(ids[0]).toBe(ROWS)
  expect(ids.length).toBeGreaterThanOrEqual(10_000)
  expect(ids.length).toBeLessThan(10_500 + 1)
  expect(new Set(ids).size).toBe(ids.length)
})

test('whoever does much does not push out what others did', async () => {
  await runInDurableObject(stub(), (_, { storage }) => {
    const records = new Records(storage.sql)
    const add = (who: string, at: number) =>
      records.add({ at, who, what: 'set access', object: 'x', outcome: 'done', reason: '', count: 1 })
    for (let i = 1; i <= 100; i++) add('root', i)
    for (let i = 101; i <= 25_000; i++) add('mallory', i)
    const by = storage.sql.exec('select who, count(*) as rows from record group by who order by who').toArray()

    expect(by).toEqual([
      { who: 'mallory', rows: 9_900 },
      { who: 'root', rows: 100 },
    ])
  })
})

test('the Worker counts whom it turns away, and names those of a -log rule, and no object is made', async () => {
  await here.setPolicy({ rules: 'acl deny-log user:mallory all topic\nacl allow user:ana all topic' })
  const made = vi.spyOn(here.vars.TOPICS, 'getByName')
  onTestFinished(() => made.mockRestore())

  for (let i = 0; i < 20; i++) await (await here.open(topic, 'mallory')).closed
  await (await here.open(topic, 'bo')).closed
  await (await here.open(topic, 'ana', { exp: 1 })).closed

  expect(made).not.toHaveBeenCalled()
  await vi.waitFor(
    async () => {
      const { acts, denials } = (await here.call('GET /audit?outcome=refused&user=mallory')).body as unknown as {
        acts: AuditRecord[]
        denials: { reason: string; count: number }[]
      }
      const count = (reason: string) =>
        denials.filter((one) => one.reason === reason).reduce((sum, one) => sum + one.count, 0)
      const entered = acts.filter(({ object }) => object === `topic ${topic}`)
      expect(entered.reduce((sum, one) => sum + one.count, 0)).toBe(20)
      expect(entered[0]).toMatchObject({ what: 'enter', reason: 'deployment line 1', outcome: 'refused' })
      expect(count('forbidden')).toBeGreaterThanOrEqual(21)
      expect(count('token_expired')).toBeGreaterThanOrEqual(1)
    },
    { timeout: 40_000, interval: 500 },
  )
})

test('acts are listed by user and outcome, and hold no token and no policy', async () => {
  await here.setPolicy({ rules: 'acl allow all all topic' })
  const token = await makeToken({ sub: 'bo' })
  await here.call('PATCH /policy', { ifVersion: 0, add: { rules: ['acl allow all all all'] } }, 'bo')
  await here.call('POST /kicks', { what: 'user', user: 'nobody-in-particular' })
  await here.call('PUT /policy', { rules: 'acl perhaps', ifVersion: (await here.call('GET /policy')).body.version })

  const of = async (query: string) => (await here.call(`GET /audit?${query}`)).body.acts as AuditRecord[]
  const [bo, mine, all] = [await of('user=bo'), await of('user=root&limit=2'), await of('')]

  expect(bo.map(({ what, outcome, reason }) => [what, outcome, reason])).toEqual([
    ['change policy', 'refused', 'forbidden'],
  ])
  expect(mine.map(({ what, outcome, reason }) => [what, outcome, reason])).toEqual([
    ['set policy', 'refused', 'policy_invalid'],
    ['kick', 'done', ''],
  ])
  expect(JSON.stringify(all)).not.toMatch(/eyJ|acl /)
  expect(token).toContain('eyJ')
})

test('nobody pushes out what others did: their refusals are counted, and their texts cut', async () => {
  const now = Date.now()
  vi.spyOn(Date, 'now').mockReturnValue(now)
  onTestFinished(() => void vi.restoreAllMocks())
  await here.setPolicy({ rules: 'acl allow all all topic name="elsewhere"' })

  for (let i = 0; i < 40; i++)
    await here.call(`PUT /access/topics/${'x'.repeat(2_000)}${i}`, { rules: '', ifVersion: 0 }, 'pest')
  const { acts } = (await here.call('GET /audit?user=pest')).body as unknown as { acts: AuditRecord[] }

  expect(acts.map(brief)).toEqual([['pest', 'set access', 'refused', 40]])
  expect(acts[0]?.object).toHaveLength(512)
})

test.each(['?limit=0', '?limit=x', '?before=-1', '?outcome=perhaps', '?other=1'])(
  '%s is no question',
  async (query) => {
    expect((await here.call(`GET /audit${query}`)).status).toBe(400)
  },
)
