import { LIMITS } from '@messkit/sdk/protocol'
import { base64url, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { makeToken, SECRET } from '../../support/server.ts'
import { AUDIENCE, bearer, type Case, goodToken, http, ISSUER, request, upgrade, ws } from '../case.ts'
import type { RuleName } from '../rules.ts'

const encode = (value: unknown): string => base64url.encode(JSON.stringify(value))

/** A key set for the server, and tokens that misuse it. */
export interface TokenKeys {
  readonly jwks: string
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

export async function makeKeys(): Promise<TokenKeys> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const publicJwk = { ...(await exportJWK(publicKey)), kid: 'rsa' }
  return { jwks: JSON.stringify({ keys: [publicJwk] }), privateKey, publicJwk }
}

/** Tokens that are refused, each with the rule of an upgrade and that of `authenticate`. */
async function badTokens({
  privateKey,
  publicJwk,
}: TokenKeys): Promise<[name: string, upgrade: RuleName, renew: RuleName, token: string][]> {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'ana', iat: now, exp: now + 3_600 }
  const good = await goodToken()
  const [head = '', body = '', signature = ''] = good.split('.')
  const sign = (alg: string, key: CryptoKey | Uint8Array, header: object = {}) =>
    new SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(key)
  const bytes = (text: string) => new TextEncoder().encode(text)
  const signed = async (payload: string, header: object = {}) => {
    const key = await crypto.subtle.importKey('raw', bytes(SECRET), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
    const text = `${encode({ alg: 'HS256', ...header })}.${base64url.encode(payload)}`
    return `${text}.${base64url.encode(new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes(text))))}`
  }
  const otherRsa = await generateKeyPair('RS256')
  const ec = await generateKeyPair('ES256')
  const invalid = (name: string, token: string): [string, RuleName, RuleName, string] => [
    name,
    'badToken',
    'renewBad',
    token,
  ]

  return [
    invalid('a token that is a word', 'hello'),
    invalid('a token of two parts', `${head}.${body}`),
    invalid('a token of five parts', `${good}.a.b`),
    invalid('a token of dots', '..'),
    invalid('a token beyond ASCII', 'äöü.äöü.äöü'),
    invalid('a token that is JSON', JSON.stringify(claims)),
    invalid('a token without a signature', `${head}.${body}.`),
    invalid('a token with a signature cut short', `${head}.${body}.${signature.slice(0, -2)}`),
    invalid('a token with changed claims', `${head}.${encode({ ...claims, sub: 'root' })}.${signature}`),
    invalid('a token with a changed header', `${encode({ alg: 'HS256', kid: 'rsa' })}.${body}.${signature}`),
    invalid('a token with the algorithm none', `${encode({ alg: 'none' })}.${encode(claims)}.`),
    invalid('a token with the algorithm NONE', `${encode({ alg: 'NONE' })}.${encode(claims)}.`),
    invalid('a token with no algorithm', `${encode({})}.${body}.${signature}`),
    invalid('a token with an algorithm that is a list', `${encode({ alg: ['HS256'] })}.${body}.${signature}`),
    invalid('a token of another secret', await sign('HS256', bytes(SECRET.toUpperCase()))),
    invalid('a token of a stronger HMAC', await sign('HS512', bytes(SECRET.repeat(2)))),
    invalid(
      'a token signed with the public key as a secret',
      await sign('HS256', bytes(JSON.stringify(publicJwk)), { kid: 'rsa' }),
    ),
    invalid(
      'a token signed with the modulus as a secret',
      await sign('HS256', bytes(String(publicJwk.n)), { kid: 'rsa' }),
    ),
    invalid('a token of another RSA key by the same name', await sign('RS256', otherRsa.privateKey, { kid: 'rsa' })),
    invalid('a token of a key that is not in the set', await sign('RS256', privateKey, { kid: 'other' })),
    invalid('a token of another kind of key', await sign('ES256', ec.privateKey, { kid: 'rsa' })),
    invalid(
      'a token that brings its own key',
      await sign('ES256', ec.privateKey, { jwk: await exportJWK(ec.publicKey) }),
    ),
    invalid(
      'a token that says where its key is',
      await sign('ES256', ec.privateKey, { jku: 'https://evil.test/keys' }),
    ),
    invalid('a token whose key name is a path', await sign('RS256', privateKey, { kid: '../../rsa' })),
    invalid('a token whose key name is an object', await signed(JSON.stringify(claims), { kid: { a: 1 } })),
    invalid('a token with a critical header', await signed(JSON.stringify(claims), { crit: ['x'], x: 1 })),
    invalid('a token whose claims are a list', await signed('[1]')),
    invalid('a token whose claims are null', await signed('null')),
    invalid('a token whose claims are no JSON', await signed('{')),
    invalid('a token whose claims are deep', await signed('['.repeat(2_000) + ']'.repeat(2_000))),
    invalid('a token of another issuer', await makeToken({ ...claims, iss: `${ISSUER}.evil.io` })),
    invalid('a token of no issuer', await makeToken({ ...claims, iss: undefined })),
    invalid('a token of an issuer that is a list', await makeToken({ ...claims, iss: [ISSUER] as unknown as string })),
    invalid('a token for another audience', await makeToken({ ...claims, aud: 'messkit2' })),
    invalid('a token for no audience', await makeToken({ ...claims, aud: undefined })),
    invalid('a token for several other audiences', await makeToken({ ...claims, aud: ['a', 'b'] })),
    invalid('a token of nobody', await makeToken({ ...claims, sub: '' })),
    invalid('a token without a subject', await makeToken({ ...claims, sub: undefined })),
    invalid('a token of a number', await makeToken({ ...claims, sub: 7 as unknown as string })),
    invalid('a token of a subject with a zero character', await makeToken({ ...claims, sub: 'ana\0' })),
    invalid(
      'a token of half a surrogate pair',
      await signed(`{"iss":"${ISSUER}","aud":"${AUDIENCE}","exp":${now + 60},"sub":"\\ud800"}`),
    ),
    invalid('a token of a subject of 257 characters', await makeToken({ ...claims, sub: 'x'.repeat(257) })),
    invalid('a token without an end', await makeToken({ ...claims, exp: undefined })),
    invalid('a token whose end is text', await makeToken({ ...claims, exp: '2100-01-01' })),
    invalid('a token whose end is beyond all time', await makeToken({ ...claims, exp: 1e300 })),
    invalid('a token whose end is below zero', await makeToken({ ...claims, exp: -1 })),
    invalid('a token whose beginning is text', await makeToken({ ...claims, nbf: 'soon' })),
    ['a token that has ended', 'oldToken', 'renewOld', await makeToken({ ...claims, exp: now - 1 })],
    ['a token that ended in 1970', 'oldToken', 'renewOld', await makeToken({ ...claims, exp: 0 })],
    ['a token for tomorrow', 'earlyToken', 'renewEarly', await makeToken({ ...claims, nbf: now + 86_400 })],
    ['a token that is issued tomorrow', 'earlyToken', 'renewEarly', await makeToken({ ...claims, iat: now + 86_400 })],
    [
      'a token over its size',
      'largeToken',
      'renewLarge',
      await makeToken({ ...claims, pad: 'x'.repeat(LIMITS.tokenBytes) }),
    ],
    ['a token of 100 KB', 'largeToken', 'renewLarge', 'x'.repeat(100_000)],
  ]
}

/** Each bad token at the door, and as the renewal of a good one. */
export async function tokenCases(keys: TokenKeys, good: string): Promise<Case[]> {
  const now = Math.floor(Date.now() / 1000)
  const offer = (...protocols: string[]) => upgrade({ protocols: [protocols.join(', ')] })
  const bad = await badTokens(keys)
  const rsa = await new SignJWT({ iss: ISSUER, aud: [AUDIENCE, 'b'], sub: 'ana', exp: now + 600 })
    .setProtectedHeader({ alg: 'RS256', kid: 'rsa' })
    .sign(keys.privateKey)
  const renew = (token: unknown) => request('authenticate', { token })

  return [
    ...bad.map(([name, rule, , token]) => http(rule, `opening with ${name}`, offer('messkit.1', bearer(token)))),
    ...bad.map(([name, , rule, token]) => ws(rule, `renewing with ${name}`, renew(token))),

    http('noToken', 'an empty token', offer('messkit.1', 'bearer.')),
    http('noToken', 'a token by another word', offer('messkit.1', bearer(good).replace('bearer.', 'Bearer.'))),
    http(
      'noToken',
      'a token in the query',
      upgrade({ path: `/v1/topics/refused/query?token=${good}`, protocols: ['messkit.1'] }),
    ),
    http(
      'noToken',
      'a token in another header',
      upgrade({ protocols: ['messkit.1'], headers: [`Authorization: Bearer ${good}`] }),
    ),
    http('noToken', 'a token in a cookie', upgrade({ protocols: ['messkit.1'], headers: [`Cookie: bearer=${good}`] })),
    http('badToken', 'two tokens', offer('messkit.1', bearer(good), bearer(good))),
    http('badToken', 'two tokens in two headers', upgrade({ protocols: ['messkit.1', bearer(good), bearer(good)] })),
    http('badToken', 'a token that is not encoded', offer('messkit.1', `bearer.${good}`)),
    http('badToken', 'an encoding that is none', offer('messkit.1', 'bearer.a~b')),
    http('badToken', 'an encoding of what is no UTF-8', offer('messkit.1', 'bearer._w')),
    http('badToken', 'a padded encoding of half a token', offer('messkit.1', 'bearer.YQ==')),
    http('largeToken', 'an encoding over its size', offer('messkit.1', `bearer.${'A'.repeat(LIMITS.tokenBytes * 2)}`)),
    http(
      'opens',
      'a token before the sub-protocol',
      upgrade({ path: '/v1/topics/hostile/target', protocols: [`${bearer(good)}, messkit.1`] }),
    ),
    http(
      'opens',
      'a token in a header of its own',
      upgrade({ path: '/v1/topics/hostile/target', protocols: ['messkit.1', bearer(good)] }),
    ),
    http(
      'opens',
      'more sub-protocols',
      upgrade({ path: '/v1/topics/hostile/target', protocols: [`mqtt, messkit.1, ${bearer(good)}, x`] }),
    ),
    http(
      'opens',
      'a token by a key of the set',
      upgrade({ path: '/v1/topics/hostile/target', protocols: [`messkit.1, ${bearer(rsa)}`] }),
    ),

    ws('again', 'renewing with a good token', renew(await goodToken({ exp: now + 7_200 })), { fresh: true }),
    ws('again', 'renewing with the same token', renew(good)),
    ws('renewOther', 'renewing with another user’s token', renew(await goodToken({ sub: 'bob' }))),
    ws('badParams', 'renewing with an empty token', renew('')),
    ws('badParams', 'renewing with no token', renew(undefined)),
    ws('badParams', 'renewing with null', renew(null)),
    ws('badParams', 'renewing with an object', renew({ token: good })),
    ws('helloNeeded', 'renewing before hello', renew(good), { as: 'stranger' }),
  ]
}
