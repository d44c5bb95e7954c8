import { evictDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker, { DirectoryObject } from '../../packages/edge/src/index.ts'
import { codeOf, makeToken } from './client.ts'
import { Deployment, member } from './deployment.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 120_000 })

const settings = env as unknown as Env
let topics = 0
let topic = ''
let here: Deployment<Env>

beforeEach(() => {
  topic = `lease/${++topics}`
  here = new Deployment(worker, settings)
})

const stub = () => settings.TOPICS.getByName(`topic:main:${topic}`)

/** The directory does not answer topics any more, until the returned function is called. */
function cutOff(): () => void {
  const enrol = vi.spyOn(DirectoryObject.prototype, 'enrol').mockRejectedValue(new Error('cut off'))
  const log = vi.spyOn(console, 'error').mockImplementation(() => {})
  const undo = () => {
    enrol.mockRestore()
    log.mockRestore()
  }
  onTestFinished(undo)
  return undo
}

function pass(ms: number): void {
  const now = Date.now()
  const clock = vi.spyOn(Date, 'now').mockReturnValue(now + ms)
  onTestFinished(() => clock.mockRestore())
}

test('a topic that could not ask for the policy for 30 s refuses everybody, and goes on when it can', async () => {
  const ana = await here.greeted(topic, 'ana')
  await ana.subscribe('now')
  const connect = cutOff()

  pass(29_000)
  const inTime = await ana.publish(1, ['1'])
  pass(2_000)
  ana.send('anything')
  const newcomer = await here.open(topic, 'bo')

  expect(codeOf(inTime)).toBeUndefined()
  expect(await ana.closed).toEqual({ code: 4010, reason: 'policy_unavailable' })
  expect(ana.frames.at(-1)).toMatchObject({
    method: 'goodbye',
    params: { code: 'policy_unavailable', retryable: true },
  })
  expect(await newcomer.closed).toEqual({ code: 4010, reason: 'policy_unavailable' })
  connect()
  const again = await here.greeted(topic, 'ana')
  expect(codeOf(await again.subscribe('start'))).toBeUndefined()
  expect(await again.delivered(1)).toMatchObject([{ messages: [1] }])
})

test('a topic that wakes without being able to ask refuses those who slept', async () => {
  const ana = await here.greeted(topic, 'ana')
  await ana.subscribe('now')
  await evictDurableObject(stub())
  cutOff()

  ana.send('anything')

  expect(await ana.closed).toEqual({ code: 4010, reason: 'policy_unavailable' })
})

test('rules of a topic that cannot learn the policy are not changed, and the answer says why', async () => {
  cutOff()

  const answer = await here.call(`PUT /access/topics/${topic}`, { rules: 'acl allow all view topic', ifVersion: 0 })

  expect(answer).toMatchObject({ status: 503, body: { error: { code: 'policy_unavailable' } } })
})

test('a renewed token is judged anew on the live link: it can widen, and what it narrows ends', async () => {
  await here.setPolicy({ rules: 'acl allow group:writers publish topic\nacl allow group:readers subscribe topic' })
  const ana = await here.greeted(topic, 'ana', member('writers'))
  const renew = async (claims: object) => {
    const frame = await ana.ask('authenticate', { token: await makeToken({ sub: 'ana', ...claims }) })
    return codeOf(frame)
  }

  const asWriter = [codeOf(await ana.publish(1, ['1'])), codeOf(await ana.subscribe('now'))]
  const toBoth = await renew(member('writers', 'readers'))
  const asBoth = [codeOf(await ana.publish(2, ['2'])), codeOf(await ana.subscribe('now'))]
  const toAnother = await renew({ ...member('writers', 'readers'), sub: 'bo' })
  const toReader = await renew({
    ...member('writers', 'readers'),
    messkit: { only: [{ on: 'topic', name: topic, can: ['subscribe'] }] },
  })
  const asReader = [codeOf(await ana.publish(3, ['3'])), codeOf(await ana.subscribe('now', { subscription: 2 }))]
  ana.ask('authenticate', { token: await makeToken({ sub: 'ana', ...member('writers') }) })

  expect([asWriter, asBoth, asReader]).toEqual([
    [undefined, 'forbidden'],
    [undefined, undefined],
    ['forbidden', undefined],
  ])
  expect([toBoth, toAnother, toReader]).toEqual([undefined, 'user_mismatch', undefined])
  // What it read as a reader it may not read any more: that ends with the link.
  expect(await ana.closed).toEqual({ code: 4403, reason: 'access_changed' })
})

test('who administers while the directory is away is told so, and never that what was done failed', async () => {
  cutOff()
  const news = vi.spyOn(DirectoryObject.prototype, 'news').mockRejectedValue(new Error('cut off'))
  onTestFinished(() => news.mockRestore())

  const answer = await here.call('GET /policy')
  news.mockRestore()
  vi.mocked(DirectoryObject.prototype.enrol).mockRestore()
  const record = vi.spyOn(DirectoryObject.prototype, 'record').mockRejectedValue(new Error('cut off') as never)
  onTestFinished(() => record.mockRestore())
  const done = await here.call(`PUT /access/topics/${topic}`, { rules: 'acl allow all view topic', ifVersion: 0 })

  expect(answer).toMatchObject({ status: 503, body: { error: { code: 'policy_unavailable' } } })
  expect(done).toMatchObject({ status: 200, body: { version: 1 } })
})
