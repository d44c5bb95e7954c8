import { base64url } from 'jose'

const KEY_CHARS = 24

/**
 * Issuer and subject as one opaque key of fixed length: what the broker tells users apart by, and stores beside their messages. 144
 * bits of the hash leave no two users with the same one.
 */
export async function identityKey(issuer: string, subject: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${issuer}\0${subject}`))
  return base64url.encode(new Uint8Array(hash)).slice(0, KEY_CHARS)
}
