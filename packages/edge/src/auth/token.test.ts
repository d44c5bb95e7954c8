import { LIMITS } from '@messkit/sdk/protocol'
import { base64url, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { type TokenVars, type User, verifyToken } from './token.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')
const NOW_SECONDS = NOW / 1000
const SECRET = 'thirty-two bytes are the least for it'
const CLAIMS = { iss: 'https://issuer.example', aud: 'messkit', sub: 'ana', iat: NOW_SECONDS, exp: NOW_SECONDS + 600 }
const VARS: TokenVars = { TOKEN_SECRET: SECRET, TOKEN_ISSUER: CLAIMS.iss, TOKEN_AUDIENCE: CLAIMS.aud }

const bytes = (text: string) => new TextEncoder().encode(text)
const encode = (value: unknown) => base64url.encode(JSON.stringify(value))

function sign(claims: object, key: CryptoKey | Uint8Array = bytes(SECRET), header: object = {}): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg: 'HS256', ...header }).sign(key)
}

async function outcome(token: string, vars = VARS): Promise<string> {
  const result = await verifyToken(token, vars, NOW)
  return 'code' in result ? result.code : 'good'
}

describe('a token signed with the secret', () => {
  test('says who holds it and until when', async () => {
    const identity = await verifyToken(await sign(CLAIMS), VARS, NOW)

    expect(identity).toEqual({
      key: expect.stringMatching(/^[\w-]{24}$/),
      user: 'ana',
      groups: [],
      issuedAt: NOW,
      expiresAt: NOW + 600_000,
    })
  })

  test('names the same user by the same key, and nobody else', async () => {
    const keyOf = async (claims: object) =>
      ((await verifyToken(await sign({ ...CLAIMS, ...claims }), { TOKEN_SECRET: SECRET }, NOW)) as User).key

    const keys = await Promise.all(
      [{}, { exp: CLAIMS.exp + 1 }, { sub: 'bo' }, { iss: 'https://other.example' }].map(keyOf),
    )

    expect(keys[1]).toBe(keys[0])
    expect(new Set(keys).size).toBe(3)
  })

  const SUBJECT = 'x'.repeat(256)
  test.each<[string, object, string]>([
    ['no expiry', { exp: undefined }, 'token_invalid'],
    ['an expiry that is text', { exp: '2027-01-01' }, 'token_invalid'],
    ['an expiry beyond all time', { exp: 1e300 }, 'token_invalid'],
    ['an expiry in the past', { exp: NOW_SECONDS - 1 }, 'token_expired'],
    ['an expiry now', { exp: NOW_SECONDS }, 'token_expired'],
    ['a beginning to come', { nbf: NOW_SECONDS + 60 }, 'token_not_yet_valid'],
    ['a beginning within the leeway', { nbf: NOW_SECONDS + 5 }, 'good'],
    ['a beginning that is text', { nbf: 'soon' }, 'token_invalid'],
    ['an issue to come', { iat: NOW_SECONDS + 60 }, 'token_not_yet_valid'],
    ['an issue within the leeway', { iat: NOW_SECONDS + 5 }, 'good'],
    ['no issue', { iat: undefined }, 'good'],
    ['another issuer', { iss: 'https://issuer.example.evil.io' }, 'token_invalid'],
    ['no issuer', { iss: undefined }, 'token_invalid'],
    ['another audience', { aud: 'other' }, 'token_invalid'],
    ['no audience', { aud: undefined }, 'token_invalid'],
    ['several audiences', { aud: ['other', 'messkit'] }, 'good'],
    ['several foreign audiences', { aud: ['other', 'messkit2'] }, 'token_invalid'],
    ['no subject', { sub: undefined }, 'token_invalid'],
    ['an empty subject', { sub: '' }, 'token_invalid'],
    ['a subject that is a number', { sub: 7 }, 'token_invalid'],
    ['the longest subject', { sub: SUBJECT }, 'good'],
    ['a longer subject', { sub: `${SUBJECT}x` }, 'token_invalid'],
    ['a subject with a zero character', { sub: 'ana\0' }, 'token_invalid'],
    ['a subject with half of a surrogate pair', { sub: '\ud800' }, 'token_invalid'],
    ['claims nobody knows', { scope: 'all', __proto__x: 1 }, 'good'],
    ['an expired token of another issuer', { exp: 1, iss: 'x' }, 'token_invalid'],
  ])('with %s', async (_, claims, expected) => {
    expect(await outcome(await sign({ ...CLAIMS, ...claims }))).toBe(expected)
  })

  test('counts for any issuer and audience where the deployment names none', async () => {
    expect(await outcome(await sign({ sub: 'ana', exp: CLAIMS.exp }), { TOKEN_SECRET: SECRET, TOKEN_ISSUER: '' })).toBe(
      'good',
    )
  })
})

describe('a token that nobody signed as it should be', () => {
  const none = (alg: string) => `${encode({ alg })}.${encode(CLAIMS)}.`
  const cases: [string, () => string | Promise<string>][] = [
    ['another secret', () => sign(CLAIMS, bytes(`${SECRET}!`))],
    ['no algorithm', () => none('none')],
    ['no algorithm, in capitals', () => none('NONE')],
    ['an algorithm nobody knows', () => none('HS1')],
    ['a header without an algorithm', () => `${encode({})}.${encode(CLAIMS)}.c2ln`],
    ['a stronger HMAC than the key is for', () => sign(CLAIMS, bytes(SECRET.repeat(2)), { alg: 'HS512' })],
    [
      'claims changed afterwards',
      async () => (await sign(CLAIMS)).replace(/\.[^.]*\./, `.${encode({ ...CLAIMS, sub: 'bo' })}.`),
    ],
    ['a signature cut short', async () => (await sign(CLAIMS)).slice(0, -2)],
    ['no signature', async () => (await sign(CLAIMS)).replace(/[^.]*$/, '')],
    ['five parts', async () => `${await sign(CLAIMS)}.a.b`],
    ['two parts', () => `${encode({ alg: 'HS256' })}.${encode(CLAIMS)}`],
    ['claims that are a list', () => signRaw('[1,2]')],
    ['claims that are no JSON', () => signRaw('{')],
    ['claims that are null', () => signRaw('null')],
    ['a header that is critical for others', () => signRaw(JSON.stringify(CLAIMS), { crit: ['x'], x: 1 })],
    ['a key name that is no text', () => sign(CLAIMS, undefined, { kid: { a: 1 } })],
    ['no structure', () => 'hello'],
    ['characters beyond ASCII', () => 'äöü.äöü.äöü'],
    ['dots alone', () => '..'],
  ]

  test.each(cases)('with %s is refused', async (_, make) => {
    expect(await outcome(await make())).toBe('token_invalid')
  })

  test('is refused for its size alone before anything of it is read', async () => {
    expect(await outcome('x'.repeat(LIMITS.tokenBytes + 1))).toBe('token_too_large')
    expect(await outcome('x'.repeat(LIMITS.tokenBytes))).toBe('token_invalid')
  })

  test('is missing if it is empty', async () => {
    expect(await outcome('')).toBe('token_missing')
  })

  /** A good signature over whatever text. */
  async function signRaw(payload: string, header: object = {}): Promise<string> {
    const key = await crypto.subtle.importKey('raw', bytes(SECRET), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
    const text = `${encode({ alg: 'HS256', ...header })}.${base64url.encode(payload)}`
    return `${text}.${base64url.encode(new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes(text))))}`
  }
})

describe('a deployment', () => {
  test('without keys refuses every token', async () => {
    expect(await outcome(await sign(CLAIMS), {})).toBe('token_invalid')
    expect(await outcome(await sign(CLAIMS), { TOKEN_SECRET: '', TOKEN_JWKS: '', TOKEN_JWKS_URL: '' })).toBe(
      'token_invalid',
    )
    expect(await outcome(`${encode({ alg: 'none' })}.${encode(CLAIMS)}.`, {})).toBe('token_invalid')
  })

  test.each<[string, TokenVars]>([
    ['a secret that could be guessed', { TOKEN_SECRET: 'x'.repeat(31) }],
    ['a key set over a line that anybody could change', { TOKEN_JWKS_URL: 'http://issuer.example/keys' }],
    ['a key set at no address', { TOKEN_JWKS_URL: 'issuer.example' }],
    ['a key set that is no JSON', { TOKEN_JWKS: '{' }],
    ['a key set without keys', { TOKEN_JWKS: '{}' }],
  ])('with %s lets nobody in and says why in its log', async (_, vars) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {})
    const { privateKey } = await generateKeyPair('ES256')

    expect(await outcome(await sign(CLAIMS, privateKey, { alg: 'ES256' }), vars)).toBe('internal')

    expect(log).toHaveBeenCalledOnce()
    log.mockRestore()
  })
})

describe('a token signed with a key of a set', () => {
  const NAMES = ['RS256', 'ES256', 'EdDSA'] as const
  const pairs: Record<string, { privateKey: CryptoKey; publicKey: CryptoKey; jwk: JWK }> = {}

  beforeAll(async () => {
    for (const alg of NAMES) {
      const pair = await generateKeyPair(alg, { extractable: true })
      pairs[alg] = { ...pair, jwk: { ...(await exportJWK(pair.publicKey)), kid: alg } }
    }
  })

  const pair = (alg: string) => pairs[alg] as (typeof pairs)[string]
  const setOf = (...keys: JWK[]): TokenVars => ({ TOKEN_JWKS: JSON.stringify({ keys }) })
  const all = () => setOf(...NAMES.map((alg) => pair(alg).jwk))

  test.each(NAMES)('with %s counts', async (alg) => {
    const { privateKey, jwk } = pair(alg)

    expect(await outcome(await sign(CLAIMS, privateKey, { alg, kid: alg }), all())).toBe('good')
    expect(await outcome(await sign(CLAIMS, privateKey, { alg }), setOf(jwk))).toBe('good')
    expect(await outcome(await sign(CLAIMS, privateKey, { alg, kid: alg }), setOf({ ...jwk, alg, use: 'sig' }))).toBe(
      'good',
    )
  })

  test('counts beside a secret', async () => {
    const vars = { ...all(), TOKEN_SECRET: SECRET }

    expect(await outcome(await sign(CLAIMS, pair('ES256').privateKey, { alg: 'ES256', kid: 'ES256' }), vars)).toBe(
      'good',
    )
    expect(await outcome(await sign(CLAIMS), vars)).toBe('good')
  })

  test('needs a name where there is a choice, and the right one', async () => {
    const { privateKey } = pair('ES256')

    expect(await outcome(await sign(CLAIMS, privateKey, { alg: 'ES256' }), all())).toBe('token_invalid')
    expect(await outcome(await sign(CLAIMS, privateKey, { alg: 'ES256', kid: 'RS256' }), all())).toBe('token_invalid')
    expect(await outcome(await sign(CLAIMS, privateKey, { alg: 'ES256', kid: 'other' }), all())).toBe('token_invalid')
  })

  test('does not count with an algorithm that the key is not for', async () => {
    const { privateKey, jwk } = await (async () => {
      const made = await generateKeyPair('PS256', { extractable: true })
      return { privateKey: made.privateKey, jwk: { ...(await exportJWK(made.publicKey)), kid: 'a' } }
    })()

    expect(await outcome(await sign(CLAIMS, privateKey, { alg: 'PS256', kid: 'a' }), setOf(jwk))).toBe('token_invalid')
    expect(
      await outcome(await sign(CLAIMS, privateKey, { alg: 'PS256', kid: 'a' }), setOf({ ...jwk, alg: 'PS256' })),
    ).toBe('token_invalid')
    const es = pair('ES256')
    const wrong = setOf({ ...es.jwk, alg: 'RS256' })
    expect(await outcome(await sign(CLAIMS, es.privateKey, { alg: 'ES256', kid: 'ES256' }), wrong)).toBe(
      'token_invalid',
    )
  })

  test('cannot be made with the public key as a secret', async () => {
    const { jwk } = pair('RS256')
    const texts = [JSON.stringify(jwk), String(jwk.n), JSON.stringify({ keys: [jwk] })]
    for (const text of texts) {
      const token = await sign(CLAIMS, bytes(text), { kid: 'RS256' })

      expect(await outcome(token, setOf(jwk))).toBe('token_invalid')
      expect(await outcome(token, { ...setOf(jwk), TOKEN_SECRET: SECRET })).toBe('token_invalid')
    }
  })

  test('counts for keys meant for it only', async () => {
    const small = await crypto.subtle.generateKey(
      { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
      true,
      ['sign', 'verify'],
    )
    const smallJwk = { ...(await exportJWK(small.publicKey)), kid: 'small' }
    const { privateKey, jwk } = pair('ES256')
    const token = await sign(CLAIMS, privateKey, { alg: 'ES256', kid: 'ES256' })

    expect(
      await outcome(
        await sign(CLAIMS, bytes(SECRET), { kid: 's' }),
        setOf({ kty: 'oct', k: base64url.encode(SECRET), kid: 's' }),
      ),
    ).toBe('token_invalid')
    expect(await outcome(token, setOf({ ...jwk, use: 'enc' }))).toBe('token_invalid')
    expect(await outcome(token, setOf({ ...jwk, key_ops: ['deriveKey'] }))).toBe('token_invalid')
    expect(await outcome(token, setOf(smallJwk, { ...jwk, x: 'no point of the curve' }))).toBe('token_invalid')
    // One bad key does not spoil the set; a private key that was published serves as the public one.
    expect(
      await outcome(
        token,
        setOf(smallJwk, { kty: 'EC', crv: 'P-999' }, { ...(await exportJWK(privateKey)), kid: 'ES256' }),
      ),
    ).toBe('good')
  })
})
