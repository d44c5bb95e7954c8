import { type Fault, fault } from '@messkit/sdk/protocol'
import * as v from 'valibot'
import type { Capability } from '../acl/authority.ts'
import { ACL_BOUNDS } from '../acl/bounds.ts'
import { ACTION_BITS, type Action, isAction, SEPARATOR } from '../acl/vocabulary.ts'

/** Clocks of issuers run a little ahead of ours. The end of a token gets no such grace: the link ends then, too. */
const LEEWAY_SECONDS = 10
const SUBJECT_CHARS = 256
/** Their digests lie in the attachment of every socket. */
const GROUPS = 64
const CAPABILITIES = 8
const PATTERN_CHARS = 128
const PATTERN_LEVELS = 8

const Seconds = v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER / 1000))
const Plain = v.pipe(
  v.string(),
  v.check((text) => text.isWellFormed() && !text.includes('\0')),
)

const Pattern = v.pipe(
  Plain,
  v.maxLength(PATTERN_CHARS),
  v.transform((text) => text.split(SEPARATOR)),
  v.maxLength(PATTERN_LEVELS),
)
const Actions = v.pipe(
  v.array(
    v.pipe(
      v.string(),
      v.check(isAction),
      v.transform((word) => word as Action),
    ),
  ),
  v.maxLength(32),
)

/** A token narrows what its user may do: `{ "on": "topic", "name": "rooms/#", "can": ["subscribe"] }`. */
const Only = v.pipe(
  v.variant('on', [
    v.object({ on: v.picklist(['topic', 'queue']), name: Pattern, can: Actions }),
    v.object({ on: v.literal('server'), can: Actions }),
  ]),
  v.transform(
    (only): Capability => ({
      object: only.on,
      name: 'name' in only ? only.name : [],
      mask: only.can.reduce((mask, action) => mask | ACTION_BITS[action], 0),
    }),
  ),
)

const Claims = v.object({
  sub: v.pipe(Plain, v.minLength(1), v.maxLength(SUBJECT_CHARS)),
  exp: Seconds,
  nbf: v.optional(Seconds),
  iat: v.optional(Seconds),
  iss: v.optional(Plain),
  aud: v.optional(v.union([v.string(), v.array(v.string())])),
  jti: v.optional(v.pipe(Plain, v.minLength(1), v.maxLength(SUBJECT_CHARS))),
  groups: v.optional(
    v.pipe(v.array(v.pipe(Plain, v.minLength(1), v.maxLength(ACL_BOUNDS.identityChars))), v.maxLength(GROUPS)),
  ),
  messkit: v.optional(v.object({ only: v.pipe(v.array(Only), v.maxLength(CAPABILITIES)) })),
})
export type Claims = v.InferOutput<typeof Claims>

export interface ClaimRules {
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
}

/** What a token whose signature is good says, or why it does not count here and now. */
export function checkClaims(payload: unknown, { issuer, audience }: ClaimRules, nowMs: number): Claims | Fault {
  const checked = v.safeParse(Claims, payload)
  if (!checked.success)
    return fault('token_invalid', `the claim ${v.getDotPath(checked.issues[0]) ?? 'set'} is missing or no good`)
  const claims = checked.output
  if (issuer !== undefined && claims.iss !== issuer) return fault('token_invalid', 'the token is of another issuer')
  if (audience !== undefined && ![claims.aud].flat().includes(audience)) {
    return fault('token_invalid', 'the token is for another audience')
  }
  if (claims.exp * 1000 <= nowMs) return fault('token_expired')
  const latest = nowMs / 1000 + LEEWAY_SECONDS
  if ((claims.nbf ?? 0) > latest || (claims.iat ?? 0) > latest) return fault('token_not_yet_valid')
  return claims
}
