import { env } from 'cloudflare:workers'
import { EVERY_QUEUE, encodeRequest, type Frame, LIMITS } from '@messkit/sdk/protocol'
import { beforeEach, expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { codeOf, makeToken } from './client.ts'
import { Deployment } from './deployment.ts'
import type { QueueLink } from './queue-link.ts'

/** Which queues there are, and who is told. */

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
let rounds = 0
/** Begins the names of this test's queues. */
let at = ''
let here: Deployment<Env>

beforeEach(() => {
  at = `names${++rounds}`
  here = new Deployment(worker, settings)
})

interface Page {
  readonly queues: string[]
  readonly next?: string
}

const RULES = (more = ''): string => `
  ${more}
  acl allow user:owner all queue
  acl allow user:ana work queue name="${at}/work/#"
  acl allow user:ana view queue name="${at}/view/#"
  acl allow user:ana enqueue queue name="${at}/door"
`

/** Makes queues as they come to be: somebody comes in. */
async function make(...names: string[]): Promise<void> {
  for (const name of names) await (await here.greetedQueue(`${at}/${name}`, 'owner')).enqueue([1])
}

const NAMES = ['work/a', 'work/b', 'view/c', 'door', 'hidden'] as const

const everything = (user: string, claims: object = {}): Promise<QueueLink> =>
  here.greetedQueue(EVERY_QUEUE, user, claims)

/** Every page, one after the other. */
async function told(link: QueueLink, asked: object = {}): Promise<string[]> {
  const names: string[] = []
  for (let after: string | undefined; ; ) {
    const page = (await link.ask<Page>('queues', { ...asked, ...(after && { after }) })) as Page
    names.push(...page.queues)
    after = page.next
    if (after === undefined) return names.filter((name) => name.startsWith(at)).map((name) => name.slice(at.length + 1))
  }
}

async function get(query: string, { user = 'ana', claims = {} }: { user?: string; claims?: object } = {}) {
  const headers = { authorization: `Bearer ${await makeToken({ sub: user, ...claims })}` }
  const response = await worker.fetch(new Request(`https://mess.test/v1/queues${query}`, { headers }), here.vars)
  return { status: response.status, body: (await response.json()) as Page & { error?: { code: string } } }
}

test('names of queues are told to whoever may work on them, or view them, and to nobody else', async () => {
  await here.setPolicy({ rules: RULES() })
  await make(...NAMES)
  const ana = await everything('ana')

  expect(await told(ana)).toEqual(['view/c', 'work/a', 'work/b'])
  expect(await told(ana, { right: 'work' })).toEqual(['work/a', 'work/b'])
  expect(await told(ana, { right: 'view' })).toEqual(['view/c'])
  expect(await told(await everything('owner'))).toEqual([...NAMES].sort())
  expect(await told(await everything('bo'))).toEqual([])
})

test('they come in pages, in their order, however small', async () => {
  await here.setPolicy({ rules: RULES() })
  await make(...NAMES)

  const link = await everything('owner')

  expect(await told(link, { limit: 1 })).toEqual([...NAMES].sort())
  expect(await told(link, { limit: 2, after: `${at}/hidden` })).toEqual(['view/c', 'work/a', 'work/b'])
})

test('the rules of a queue itself count, also against those of the deployment', async () => {
  await here.setPolicy({ rules: RULES() })
  await make(...NAMES)
  for (const [name, rules] of [
    ['hidden', 'acl allow user:ana work queue'],
    ['work/b', 'acl deny user:ana all queue'],
  ] as const)
    await here.call(`PUT /access/queues/${at}/${name}`, { rules, ifVersion: 0 })

  expect(await told(await everything('ana'), { right: 'work' })).toEqual(['hidden', 'work/a'])
})

test('of queues with rules of their own only so many are asked for one answer', async () => {
  await here.setPolicy({ rules: RULES() })
  const names = Array.from({ length: LIMITS.ownRulesPerPage + 2 }, (_, i) => `own/${String(i).padStart(3, '0')}`)
  await make(...names)
  for (const name of names)
    await here.call(`PUT /access/queues/${at}/${name}`, { rules: 'acl allow user:bo view queue', ifVersion: 0 })

  const link = await everything('bo')
  const page = (await link.ask<Page>('queues', { after: at })) as Page

  expect(page.queues.length).toBeLessThanOrEqual(LIMITS.ownRulesPerPage)
  expect(page.next).toBeDefined()
  expect(await told(link, { after: at })).toEqual(names)
})

test('a right that is taken away is missed with the next question, on a link that is there', async () => {
  // Not ana: a token of hers that is made in the same second would count no more.
  const may = (name: string): string => `acl allow user:eve all queue name="${at}/${name}/#"`
  await here.setPolicy({ rules: RULES(`${may('work')}\n${may('view')}`) })
  await make(...NAMES)
  const eve = await everything('eve')
  const before = await told(eve)

  await here.setPolicy({ rules: RULES(may('view')) })
  const after = await told(eve)
  await here.call('POST /revocations', { what: 'user', user: 'eve' })

  expect([before, after]).toEqual([['view/c', 'work/a', 'work/b'], ['view/c']])
  expect(await eve.ask('queues')).toBe('forbidden')
})

test('a queue that is new is told of with the next question', async () => {
  await here.setPolicy({ rules: RULES() })
  const ana = await everything('ana')
  const before = await told(ana)

  await make('work/new')

  expect([before, await told(ana)]).toEqual([[], ['work/new']])
})

test('the same is answered over HTTP', async () => {
  await here.setPolicy({ rules: RULES() })
  await make(...NAMES)

  const first = await get(`?limit=1&right=work&after=${at}`)

  expect(first).toMatchObject({ status: 200, body: { queues: [`${at}/work/a`], next: `${at}/work/a` } })
  expect((await get(`?right=work&after=${first.body.next}`)).body.queues[0]).toBe(`${at}/work/b`)
  expect((await get('', { user: 'cy' })).body.queues).toEqual([])
})

test.each([
  '?limit=0',
  `?limit=${LIMITS.queuesPerPage + 1}`,
  '?right=change',
  '?after=../..',
  '?queue=vault',
  '?more=1',
])('a question over HTTP that makes no sense is refused: %s', async (query) => {
  expect(await get(query)).toMatchObject({ status: 400, body: { error: { code: 'bad_params' } } })
})

test('without a token, or with one that is over, nobody asks', async () => {
  const stranger = await worker.fetch(new Request('https://mess.test/v1/queues'), here.vars)
  const late = await here.openQueue(EVERY_QUEUE, 'ana', { exp: 1_000 })

  expect(stranger.status).toBe(401)
  expect(await late.closed).toMatchObject({ reason: 'token_expired' })
})

test('a link to all queues takes questions alone, after hello', async () => {
  const shy = await here.openQueue(EVERY_QUEUE, 'owner')
  shy.client.send(encodeRequest(1, 'queues', { queue: EVERY_QUEUE }))
  const link = await everything('owner')

  expect(await shy.closed).toMatchObject({ reason: 'hello_needed' })
  for (const [method, params, code] of [
    ['counts', {}, 'unknown_method'],
    ['enqueue', {}, 'unknown_method'],
    ['queues', { queue: 'vault' }, 'bad_params'],
    ['queues', { limit: 1e9 }, 'bad_params'],
    ['queues', { after: '*' }, 'bad_name'],
  ] as const)
    expect(await link.ask(method, params)).toBe(code)
  link.client.send('messkit:ping')
  await vi.waitFor(() => expect(link.client.texts).toContain('messkit:pong'))
})

test('a link is there longer by a newer token of the same user, and of no other', async () => {
  const link = await everything('owner')
  const renew = async (sub: string): Promise<Frame> =>
    link.client.ask('authenticate', { token: await makeToken({ sub }) })

  expect((await renew('owner')).result).toMatchObject({ expiresInMs: expect.any(Number) })
  expect(codeOf(await renew('ana'))).toBe('user_mismatch')
})

test('too many frames that nobody understands end the link', async () => {
  const link = await everything('owner')

  for (let i = 0; i <= LIMITS.faultsPerLink; i++) link.client.send('nonsense')

  expect(await link.closed).toMatchObject({ reason: 'too_many_faults' })
})
