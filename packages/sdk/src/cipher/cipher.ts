import { MessError } from '../client/errors.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'

export type Bytes = Uint8Array<ArrayBuffer>

/** What a sealed message is bound to: it opens under the same facts only. */
export interface Binding {
  /** Names the key. Everybody sees it. */
  readonly keyId: string
  /** For ciphers that have a key for each topic. */
  readonly topic: string
  /** All facts in one, those above included: the additional authenticated data of an AEAD. */
  readonly bytes: Bytes
}

/** Seals and opens bytes. Must authenticate: what was changed, or is opened under another binding, does not open. */
export interface Cipher {
  /** The key that seals from now on, a short text. */
  readonly keyId: string
  /** What is sealed may be 300 bytes longer. Rejects where it cannot, with a MessError or anything else. */
  seal(plain: Bytes, binding: Binding): Promise<Bytes>
  /** Rejects with a MessError `cipher_unknown_key` where there is no such key, and with anything else where it does not open. */
  open(sealed: Bytes, binding: Binding): Promise<Bytes>
}

export const failure = (code: ErrorCode, message: string, cause?: unknown): MessError =>
  new MessError(code, message, { scope: 'message', cause })

export const encode = (text: string): Bytes => new TextEncoder().encode(text)

/** Why a message could not be sealed or opened, as far as the cipher says. */
export const failed = (cause: unknown): MessError =>
  cause instanceof MessError ? cause : failure('cipher_failed', 'Not sealed, or does not open', cause)
