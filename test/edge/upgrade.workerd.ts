import { listDurableObjectIds } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { ERRORS } from '@messkit/sdk/protocol'
import { base64url, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { Client, codeOf, makeToken, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const VARS = {
  TOKEN_SECRET: SECRET,
  TOKEN_ISSUER: 'issuer',
  TOKEN_AUDIENCE: 'messkit',
  ALLOWED_ORIGINS: 'https://app.test',
}
const CLAIMS = { iss: 'issuer', aud: 'messkit' }
const namespace = (env as unknown as Env).TOPICS

const ask = async (request: Request, vars: object = {}): Promise<Response> =>
  worker.fetch(request, { ...(env as unknown as Env), ...VARS, ...vars })

afterEach(() => {
  vi.restoreAllMocks()
})

test('says that it is well without touching an object', async () => {
  const response = await ask(new Request('https://mess.test/health'))

  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({ ok: true })
  expect(await listDurableObjectIds(namespace)).toEqual([])
})

const now = Math.floor(Date.now() / 1000)
const TOPIC = 'rooms/42'
const forged = (header: object, claims: object) =>
  [...[header, claims].map((part) => base64url.encode(JSON.stringify(part))), ''].join('.')

test.each<[string, string, () => string | undefined | Promise<string>]>([
  ['no token', 'token_missing', () => undefined],
  ['an empty token', 'token_missing', () => ''],
  ['a token that is none', 'token_invalid', () => 'hello'],
  ['a token of another secret', 'token_invalid', () => makeToken(CLAIMS, SECRET.toUpperCase())],
  [
    'a token without a signature',
    'token_invalid',
    () => forged({ alg: 'none' }, { ...CLAIMS, sub: 'ana', exp: now + 60 }),
  ],
  ['a token signed with a key of another type', 'token_invalid', ecToken],
  ['a token of another issuer', 'token_invalid', () => makeToken({ ...CLAIMS, iss: 'other' })],
  ['a token for another audience', 'token_invalid', () => makeToken({ ...CLAIMS, aud: 'other' })],
  ['a token without an end', 'token_invalid', () => makeToken({ ...CLAIMS, exp: undefined })],
  ['a token of nobody', 'token_invalid', () => makeToken({ ...CLAIMS, sub: '' })],
  ['an expired token', 'token_expired', () => makeToken({ ...CLAIMS, exp: now - 1 })],
  ['a token for later', 'token_not_yet_valid', () => makeToken({ ...CLAIMS, nbf: now + 60 })],
  ['a token that is too large', 'token_too_large', () => makeToken({ ...CLAIMS, pad: 'x'.repeat(9_000) })],
])('tells a client with %s why it may not come in, and makes no object', async (_, code, makeIt) => {
  const client = new Client(await ask(upgradeRequest(TOPIC, await makeIt())), TOPIC)

  expect(codeOf(await client.next(() => true))).toBe(code)
  expect(await client.closed).toEqual({
    code: (ERRORS as Record<string, { close?: number }>)[code]?.close,
    reason: code,
  })
  expect(client.frames).toHaveLength(1)
  expect(await listDurableObjectIds(namespace)).toEqual([])
})

async function ecToken(): Promise<string> {
  const { privateKey } = await generateKeyPair('ES256')
  return new SignJWT({ ...CLAIMS, sub: 'ana', exp: now + 60 }).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
}

test.each([
  '_internal',
  'a//b',
  'a/',
  'a%20b',
  'a%00',
  '%C3%A4',
  '..%2Fsecret',
  'a%2F..%2Fb',
  'x'.repeat(65),
  'a/b/c/d/e/f/g/h/i',
  '%E0%A4%A',
])('tells a client that asks for the topic %s that this is no name', async (name) => {
  const client = new Client(await ask(upgradeRequest(name, await makeToken(CLAIMS))), name)

  expect(codeOf(await client.next(() => true))).toBe('bad_name')
  expect(await client.closed).toEqual({ code: 4520, reason: 'bad_name' })
  expect(await listDurableObjectIds(namespace)).toEqual([])
})

test.each(['null', 'https://evil.test', 'https://app.test.evil.io', 'http://app.test', 'https://app.test:444'])(
  'shuts out pages of the origin %s',
  async (origin) => {
    const response = await ask(upgradeRequest(TOPIC, await makeToken(CLAIMS), { origin }))

    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({ error: { code: 'forbidden_origin', retryable: false } })
    expect(await listDurableObjectIds(namespace)).toEqual([])
  },
)

test.each<[string, RequestInit]>([
  ['no upgrade', {}],
  ['an upgrade to something else', { headers: { upgrade: 'h2c', 'sec-websocket-protocol': 'messkit.1' } }],
  ['no sub-protocol', { headers: { upgrade: 'websocket' } }],
  ['another sub-protocol', { headers: { upgrade: 'websocket', 'sec-websocket-protocol': 'messkit.2, mqtt' } }],
  ['another method', { method: 'POST', headers: { upgrade: 'websocket', 'sec-websocket-protocol': 'messkit.1' } }],
])('answers %s with what is needed', async (_, init) => {
  const response = await ask(new Request(`https://mess.test/v1/topics/${TOPIC}`, init))

  expect(response.status).toBe(426)
  expect(response.headers.get('upgrade')).toBe('websocket')
  expect(await response.json()).toMatchObject({ error: { code: 'upgrade_needed', retryable: false } })
  expect(await listDurableObjectIds(namespace)).toEqual([])
})

test.each(['/', '/v1', '/v1/topics', '/v1/topics/', '/v2/topics/a', '/v1/queues/'])(
  'knows nothing at %s',
  async (path) => {
    const response = await ask(new Request(`https://mess.test${path}`))

    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { code: 'not_found' } })
  },
)

test('lets nobody in while the settings are no good, and says in its log which', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {})
  const token = await makeToken(CLAIMS)

  for (const vars of [{ RETENTION: '{"days":3}' }, { TOKEN_SECRET: 'short' }]) {
    const client = new Client(await ask(upgradeRequest(TOPIC, token), vars), TOPIC)
    expect(codeOf(await client.next(() => true))).toBe('internal')
    expect(await client.closed).toEqual({ code: 4011, reason: 'internal' })
  }

  expect(log.mock.calls.map((call) => call.join(' '))).toEqual([
    expect.stringContaining('RETENTION'),
    expect.stringContaining('TOKEN_SECRET'),
  ])
  expect(await listDurableObjectIds(namespace)).toEqual([])
})

test('leaks nothing when something fails', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {})
  const broken = { getByName: () => ({ fetch: () => Promise.reject(new Error('SQL of the inside')) }) }

  const client = new Client(await ask(upgradeRequest(TOPIC, await makeToken(CLAIMS)), { TOPICS: broken }), TOPIC)

  await client.closed
  expect(client.frames.map(codeOf)).toEqual(['internal'])
  expect(client.texts.join()).not.toContain('SQL')
  expect(log).toHaveBeenCalledOnce()
})

test('takes the identity from the token alone and passes nothing else on', async () => {
  const seen = vi.spyOn(namespace, 'getByName')
  const identity = base64url.encode(JSON.stringify({ key: 'forged', user: 'root' }))
  const request = upgradeRequest(TOPIC, await makeToken(CLAIMS), {
    origin: 'https://app.test',
    'messkit-identity': identity,
    'x-forwarded-for': '1.2.3.4',
    cookie: 'a=b',
    authorization: 'Bearer x',
  })

  const response = await ask(request)
  const client = new Client(response, TOPIC)

  expect(response.headers.get('sec-websocket-protocol')).toBe('messkit.1')
  expect(response.headers.get('sec-websocket-extensions')).toBeNull()
  expect((await client.hello()).result).toMatchObject({ user: 'ana' })
  expect(seen).toHaveBeenCalledExactlyOnceWith('topic:main:rooms/42')
  expect(await listDurableObjectIds(namespace)).toHaveLength(1)
})

test.each(['RS256', 'ES256', 'EdDSA'])('lets in who has a token signed with %s by a key of the set', async (alg) => {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const set = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1' }] })
  const token = await new SignJWT({ ...CLAIMS, sub: 'ana', exp: now + 60, pad: 'x'.repeat(5_000) })
    .setProtectedHeader({ alg, kid: 'k1' })
    .sign(privateKey)

  const client = new Client(await ask(upgradeRequest(TOPIC, token), { TOKEN_JWKS: set }), TOPIC)

  expect((await client.hello()).result).toMatchObject({ user: 'ana' })
})

test('checks tokens with the keys of an issuer, asked for once', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k1' }] }
  const fetched = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => Response.json(jwks))
  const sign = (kid: string) =>
    new SignJWT({ ...CLAIMS, sub: 'ana', exp: now + 600 }).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey)
  const vars = { TOKEN_JWKS_URL: 'https://issuer.test/keys' }

  const good = new Client(await ask(upgradeRequest(TOPIC, await sign('k1')), vars), TOPIC)
  const hello = await good.hello()
  const flood = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const client = new Client(await ask(upgradeRequest(TOPIC, await sign(`made-up-${i}`)), vars), TOPIC)
      return [codeOf(await client.next(() => true)), (await client.closed).code]
    }),
  )

  expect(hello.result).toMatchObject({ user: 'ana' })
  expect(new Set(flood.flat())).toEqual(new Set(['keys_unavailable', 4006]))
  expect(fetched).toHaveBeenCalledOnce()
})
