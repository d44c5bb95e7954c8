import * as v from 'valibot'
import { digestOf } from '../access/digest.ts'
import { PolicyDocument } from '../access/document.ts'
import { isAction, OBJECT_KINDS } from '../acl/vocabulary.ts'
import { whoIs } from '../audit/decision.ts'
import { OUTCOMES, type RecordQuery } from '../audit/records.ts'
import { isRoot } from '../auth/admins.ts'
import { identityKey } from '../auth/identity-key.ts'
import type { Env } from '../env.ts'
import { Patch } from './patch.ts'

function Text(chars: number) {
  return v.pipe(v.string(), v.minLength(1), v.maxLength(chars))
}

const ifVersion = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
export const Change = v.strictObject({ ...PolicyDocument.entries, ifVersion })
export const PatchChange = v.strictObject({ ...Patch.entries, ifVersion })

export const Whose = v.variant('what', [
  v.strictObject({ what: v.literal('token'), id: Text(256) }),
  v.strictObject({ what: v.literal('user'), user: Text(256), issuer: v.optional(Text(512)) }),
  v.strictObject({ what: v.literal('group'), group: Text(256) }),
])

type Whose = v.InferOutput<typeof Whose>

/** As a record names them. */
export function nameOf(one: Whose): string {
  if (one.what === 'token') return `token ${one.id}`
  return one.what === 'group' ? `group ${one.group}` : `user ${whoIs(one)}`
}

/** Whether that is somebody whom the deployment itself names as an administrator. */
export function isRootOf(one: Whose, { TOKEN_ISSUER, ADMINS }: Env): boolean {
  if (one.what !== 'user') return false
  const { user, issuer } = one
  return isRoot({ user, ...(issuer !== undefined && issuer !== TOKEN_ISSUER && { issuer }) }, ADMINS)
}

/** As links and the directory know them. Without an issuer a user is one of the deployment's own. */
export async function digested(one: Whose, { TOKEN_ISSUER = '' }: Env) {
  if (one.what === 'token') return { token: await digestOf(one.id) }
  if (one.what === 'group') return { group: await digestOf(one.group) }
  return { user: await identityKey(one.issuer ?? TOKEN_ISSUER, one.user) }
}

export const Question = v.strictObject({
  user: Text(256),
  issuer: v.optional(Text(512)),
  groups: v.optional(v.pipe(v.array(Text(256)), v.maxLength(64)), []),
  address: v.optional(Text(45)),
  action: v.pipe(v.string(), v.check(isAction)),
  on: v.picklist(OBJECT_KINDS),
  name: v.optional(Text(1_024)),
})

const AUDIT_PAGE = 200
const Whole = v.pipe(v.string(), v.regex(/^\d{1,16}$/), v.transform(Number), v.safeInteger())

const Query = v.strictObject({
  before: v.optional(Whole),
  limit: v.optional(v.pipe(Whole, v.minValue(1))),
  user: v.optional(Text(1_024)),
  outcome: v.optional(v.picklist(OUTCOMES)),
})

/** A page of the audit. @throws {v.ValiError} */
export function queryOf(asked: Record<string, string>): RecordQuery & { limit: number } {
  const { before = Number.MAX_SAFE_INTEGER, limit = AUDIT_PAGE, user, outcome } = v.parse(Query, asked)
  return { before, limit: Math.min(limit, AUDIT_PAGE), who: user, outcome }
}
