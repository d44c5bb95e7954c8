import { type Fault, fault, LIMITS } from '@messkit/sdk/protocol'
import { compactVerify, decodeProtectedHeader } from 'jose'
import type { Capability } from '../acl/authority.ts'
import { type ClaimRules, checkClaims } from './claims.ts'
import { identityKey } from './identity-key.ts'
import { type Key, pickKey, readKeySet, type Wanted } from './keys.ts'
import { RemoteKeys } from './remote-keys.ts'

/** By what a deployment knows good tokens. With none of the first three set, every token is refused. */
export interface TokenVars {
  /** For HS256; at least 32 bytes. */
  readonly TOKEN_SECRET?: string
  /** A JSON Web Key Set, as JSON or by its address: for RS256, ES256 and EdDSA. */
  readonly TOKEN_JWKS?: string
  readonly TOKEN_JWKS_URL?: string
  /** The `iss` and the `aud` that a token must have. */
  readonly TOKEN_ISSUER?: string
  readonly TOKEN_AUDIENCE?: string
  /** Issuers, separated by commas, that are believed about who is in which group. What others say about groups is ignored. */
  readonly TOKEN_GROUP_ISSUERS?: string
}

/** Who speaks, as a token proves it. What they may do is for policies to say. */
export interface User {
  /** Issuer and subject as one opaque key. */
  readonly key: string
  readonly user: string
  /** Left out where it is the deployment's own. */
  readonly issuer?: string
  readonly groups: readonly string[]
  /** What the token is good for at most. */
  readonly capabilities?: readonly Capability[]
  /** In ms since 1970. */
  readonly expiresAt: number
  readonly issuedAt: number
  readonly tokenId?: string
}

/** Who holds this token, or why it does not count. */
export async function verifyToken(token: string, vars: TokenVars, nowMs = Date.now()): Promise<User | Fault> {
  if (token === '') return fault('token_missing')
  if (token.length > LIMITS.tokenBytes) return fault('token_too_large')
  try {
    return await verify(token, rulesOf(vars), nowMs)
  } catch (error) {
    console.error('the settings for tokens are no good:', error)
    return fault('internal')
  }
}

async function verify(token: string, rules: Rules, nowMs: number): Promise<User | Fault> {
  const wanted = readHeader(token)
  if (!wanted) return fault('token_invalid')
  const key = wanted.alg === 'HS256' ? rules.secret : await findKey(rules, wanted)
  if (key === 'unavailable') return fault('keys_unavailable')
  const payload = key && (await readPayload(token, key))
  if (payload === undefined) return fault('token_invalid')
  const claims = checkClaims(payload, rules, nowMs)
  if ('code' in claims) return claims
  const { iss, sub, exp, iat = 0, jti, groups = [], messkit } = claims
  return {
    key: await identityKey(iss ?? '', sub),
    user: sub,
    ...(rules.issuer === undefined && iss !== undefined && { issuer: iss }),
    groups: iss !== undefined && rules.groupIssuers.has(iss) ? groups : [],
    ...(messkit && { capabilities: messkit.only }),
    expiresAt: exp * 1000,
    issuedAt: iat * 1000,
    ...(jti !== undefined && { tokenId: jti }),
  }
}

/** Only says which key is wanted; what that key is good for, it says itself. */
function readHeader(token: string): Wanted | undefined {
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    return typeof alg === 'string' && (kid === undefined || typeof kid === 'string') ? { alg, kid } : undefined
  } catch {
    return undefined
  }
}

async function findKey({ local, remote }: Rules, wanted: Wanted): Promise<Key | undefined | 'unavailable'> {
  const known = local && pickKey(await local(), wanted)
  return known ?? remote?.find(wanted)
}

async function readPayload(token: string, { key, algorithms }: Secret | Key): Promise<unknown> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [...algorithms] })
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload))
  } catch {
    return undefined
  }
}

// ---- settings

interface Secret {
  readonly algorithms: readonly ['HS256']
  readonly key: Uint8Array
}

interface Rules extends ClaimRules {
  readonly secret: Secret | undefined
  readonly local: (() => Promise<readonly Key[]>) | undefined
  readonly remote: RemoteKeys | undefined
  readonly groupIssuers: ReadonlySet<string>
}

const SECRET_BYTES = 32

/** Settings do not change while an isolate lives, but tests have several. */
let known: { readonly text: string; readonly rules: Rules } | undefined

function rulesOf(vars: TokenVars): Rules {
  const { TOKEN_SECRET, TOKEN_JWKS, TOKEN_JWKS_URL, TOKEN_ISSUER, TOKEN_AUDIENCE, TOKEN_GROUP_ISSUERS = '' } = vars
  const text = JSON.stringify([
    TOKEN_SECRET,
    TOKEN_JWKS,
    TOKEN_JWKS_URL,
    TOKEN_ISSUER,
    TOKEN_AUDIENCE,
    TOKEN_GROUP_ISSUERS,
  ])
  if (known?.text === text) return known.rules
  const rules = {
    secret: TOKEN_SECRET ? readSecret(TOKEN_SECRET) : undefined,
    local: TOKEN_JWKS ? localKeys(TOKEN_JWKS) : undefined,
    remote: TOKEN_JWKS_URL ? new RemoteKeys(readUrl(TOKEN_JWKS_URL), Date.now) : undefined,
    issuer: TOKEN_ISSUER || undefined,
    audience: TOKEN_AUDIENCE || undefined,
    groupIssuers: new Set(
      TOKEN_GROUP_ISSUERS.split(',')
        .map((issuer) => issuer.trim())
        .filter((issuer) => issuer !== ''),
    ),
  }
  known = { text, rules }
  return rules
}

function readSecret(text: string): Secret {
  const key = new TextEncoder().encode(text)
  // Anybody who holds one token could try out a short secret at home.
  if (key.length < SECRET_BYTES) throw new Error(`TOKEN_SECRET has fewer than ${SECRET_BYTES} bytes`)
  return { algorithms: ['HS256'], key }
}

function localKeys(text: string): () => Promise<readonly Key[]> {
  let keys: readonly Key[] | undefined
  return async () => {
    keys ??= await readKeySet(JSON.parse(text))
    if (!keys) throw new Error('TOKEN_JWKS is not a key set')
    return keys
  }
}

/** Whoever can change the answer on its way can make tokens. */
function readUrl(text: string): string {
  const url = URL.parse(text)
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.test(url.hostname))
  if (!url || !safe) throw new Error('TOKEN_JWKS_URL is no https: address')
  return url.href
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/
