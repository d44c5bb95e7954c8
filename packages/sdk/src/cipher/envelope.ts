import { randomName } from '../platform.ts'
import { type Binding, type Bytes, type Cipher, encode } from './cipher.ts'

/** Begins every sealed payload, and says how it is made. */
const MARK = 'sealed.1'

/** What travels: the mark, the key's id, and what the cipher made, in base64. */
export type Sealed = readonly [mark: string, keyId: string, sealed: string, ...more: unknown[]]

/** What was sealed: a random id, by which a repeat is known, and the publisher's user besides the data. */
export interface Content {
  readonly id: string
  readonly by: string | null
  readonly data: unknown
}

/** Where a message belongs: it opens nowhere else. */
export interface Place {
  readonly topic: string
  /** The message's key, which everybody sees. */
  readonly key: string | undefined
}

export const isSealed = (raw: unknown): raw is Sealed => Array.isArray(raw) && raw[0] === MARK

/** A message that is to be sealed: its size, and what seals it. */
export interface Unsealed {
  readonly bytes: number
  seal(): Promise<string>
}

/** @param line the data as JSON */
export function unsealed(cipher: Cipher, place: Place, by: string | undefined, line: string): Unsealed {
  // The key of now, whatever it is by the time it seals.
  const { keyId } = cipher
  const plain = encode(`${JSON.stringify([randomName(), by]).slice(0, -1)},${line}]`)
  return {
    bytes: plain.length,
    async seal() {
      const sealed = await cipher.seal(plain, bindingOf(place, keyId))
      return JSON.stringify([MARK, keyId, toBase64(sealed)] satisfies Sealed)
    },
  }
}

/** Rejects with what the cipher rejects with, or with anything where it is no message. */
export async function open(cipher: Cipher, place: Place, raw: Sealed): Promise<Content> {
  const [, keyId, sealed] = raw
  if (raw.length > 3 || `${keyId}` !== keyId) throw raw
  const plain = await cipher.open(fromBase64(sealed), bindingOf(place, keyId))
  const [id, by, data] = JSON.parse(new TextDecoder().decode(plain))
  // Whoever has the key may have written anything there.
  return { id: `${id}`, by: by && `${by}`, data }
}

const bindingOf = ({ topic, key }: Place, keyId: string): Binding => ({
  keyId,
  topic,
  bytes: encode(JSON.stringify([MARK, topic, key, keyId])),
})

/** So many arguments a call takes everywhere. */
const CALL_ARGUMENTS = 8_192

function toBase64(bytes: Bytes): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += CALL_ARGUMENTS)
    text += String.fromCharCode(...bytes.subarray(i, i + CALL_ARGUMENTS))
  return btoa(text)
}

/** @throws if it is not written as {@link toBase64} writes it */
function fromBase64(base64: string): Bytes {
  const text = atob(base64)
  if (btoa(text) !== base64) throw base64
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
