import type { Identity } from '@messkit/sdk/broker'
import { base64url } from 'jose'

/** The Worker's word to an object on who is speaking. Set on a request that the Worker builds anew, so nobody else's gets through. */
export const IDENTITY_HEADER = 'messkit-identity'

const KEY_CHARS = 24

/**
 * Issuer and subject as one opaque key of fixed length: what the broker tells users apart by, and stores beside their messages. 144
 * bits of the hash leave no two users with the same one.
 */
export async function identityKey(issuer: string, subject: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${issuer}\0${subject}`))
  return base64url.encode(new Uint8Array(hash)).slice(0, KEY_CHARS)
}

/** Header values are ASCII, and names of users are not. */
export function writeIdentity(identity: Identity): string {
  return base64url.encode(JSON.stringify(identity))
}

export function readIdentity(header: string | null): Identity | undefined {
  return header === null ? undefined : (JSON.parse(new TextDecoder().decode(base64url.decode(header))) as Identity)
}
