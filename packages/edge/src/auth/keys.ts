import { importJWK, type JWK } from 'jose'
import * as v from 'valibot'

/**
 * A public key and the names of the one algorithm that it may be used with. The key decides that, never a token: else a forger could
 * name a weaker one, or use a public key as the secret of an HMAC.
 */
export interface Key {
  readonly kid: string | undefined
  readonly algorithms: readonly string[]
  readonly key: CryptoKey
}

/** What a token's header says about the key it wants. */
export interface Wanted {
  readonly kid: string | undefined
  readonly alg: string
}

const KEYS = 64
const RSA_BITS = 2048

const KeySet = v.object({ keys: v.pipe(v.array(v.looseObject({ kty: v.string() })), v.maxLength(KEYS)) })

/** The keys of a JSON Web Key Set that can check tokens here; others are left out. `undefined` if it is no key set. */
export async function readKeySet(set: unknown): Promise<readonly Key[] | undefined> {
  const checked = v.safeParse(KeySet, set)
  if (!checked.success) return undefined
  const keys = await Promise.all(checked.output.keys.map((jwk) => readKey(jwk)))
  return keys.filter((key) => key !== undefined)
}

/** A token that names no key gets one only where there is no choice. */
export function pickKey(keys: readonly Key[], { kid, alg }: Wanted): Key | undefined {
  const named = kid === undefined ? (keys.length === 1 ? keys : []) : keys.filter((key) => key.kid === kid)
  return named.find(({ algorithms }) => algorithms.includes(alg))
}

async function readKey(jwk: JWK): Promise<Key | undefined> {
  const kind = KINDS.find(({ kty, crv }) => jwk.kty === kty && (crv === undefined || jwk.crv === crv))
  if (!kind || !meantForSignatures(jwk)) return undefined
  const algorithms = jwk.alg === undefined ? kind.algorithms : kind.algorithms.filter((name) => name === jwk.alg)
  const [algorithm] = algorithms
  if (algorithm === undefined) return undefined
  try {
    // Only the members of the public half: a private key that was published by mistake checks signatures and makes none.
    const half = Object.fromEntries(Object.entries(jwk).filter(([name]) => kind.members.includes(name)))
    const key = (await importJWK({ kty: kind.kty, ...half }, algorithm)) as CryptoKey
    if (((key.algorithm as { modulusLength?: number }).modulusLength ?? RSA_BITS) < RSA_BITS) return undefined
    return { kid: typeof jwk.kid === 'string' ? jwk.kid : undefined, algorithms, key }
  } catch {
    return undefined
  }
}

/** Secrets (`oct`) are missing on purpose: the one for HS256 is set by the deployment and never comes out of a key set. */
const KINDS: readonly Kind[] = [
  { kty: 'RSA', crv: undefined, algorithms: ['RS256'], members: ['n', 'e'] },
  { kty: 'EC', crv: 'P-256', algorithms: ['ES256'], members: ['crv', 'x', 'y'] },
  { kty: 'OKP', crv: 'Ed25519', algorithms: ['EdDSA', 'Ed25519'], members: ['crv', 'x'] },
]

interface Kind {
  readonly kty: string
  readonly crv: string | undefined
  readonly algorithms: readonly string[]
  readonly members: readonly string[]
}

function meantForSignatures({ use, key_ops: operations }: JWK): boolean {
  if (use !== undefined && use !== 'sig') return false
  return operations === undefined || (Array.isArray(operations) && operations.includes('verify'))
}
