import { base64url } from 'jose'
import type { User } from '../auth/token.ts'
import { digestOf } from './digest.ts'

/**
 * Whoever stands at a link, as far as it takes to judge them anew when a policy changes: in the same turn, asking nobody, and long after the
 * token was thrown away. Lies in the socket's attachment, so it is short: groups are digests, and names of groups stay with the policy.
 */
export interface Visitor {
  /** Issuer and subject as one key. */
  readonly key: string
  readonly user: string
  /** Left out where it is the deployment's own. */
  readonly issuer?: string
  readonly groups: readonly string[]
  readonly capabilities?: User['capabilities']
  readonly address?: string
  /** In ms since 1970. */
  readonly expiresAt: number
  readonly issuedAt: number
  /** Digest of the token's own name, if it has one. */
  readonly token?: string
  /** Where this connection is counted, and under which name, if it is. */
  readonly place?: Place
}

/** A connection's place among those of its user and of its address. */
export interface Place {
  readonly id: string
  /** Names of the objects that count it. */
  readonly limiters: readonly string[]
}

export async function visitorOf(user: User, address: string | undefined): Promise<Visitor> {
  const { key, user: name, issuer, groups, capabilities, expiresAt, issuedAt, tokenId } = user
  return {
    key,
    user: name,
    ...(issuer !== undefined && { issuer }),
    groups: await Promise.all(groups.map(digestOf)),
    ...(capabilities && { capabilities }),
    ...(address !== undefined && { address }),
    expiresAt,
    issuedAt,
    ...(tokenId !== undefined && { token: await digestOf(tokenId) }),
  }
}

/** The Worker's word to an object on who is there. Set on a request that the Worker builds anew, so nobody else's gets through. */
export const VISITOR_HEADER = 'messkit-visitor'

/** Header values are ASCII, and names of users are not. */
export function writeVisitor(visitor: Visitor): string {
  return base64url.encode(JSON.stringify(visitor))
}

export function readVisitor(header: string | null): Visitor | undefined {
  return header === null ? undefined : (JSON.parse(new TextDecoder().decode(base64url.decode(header))) as Visitor)
}
