import { base64url } from 'jose'

const CHARS = 16

/**
 * 96 bits of SHA-256: by these a link remembers groups and tokens without their names. Nobody finds another name with the same ones, also
 * not one who may choose names of groups.
 */
export async function digestOf(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return base64url.encode(new Uint8Array(hash)).slice(0, CHARS)
}
