import { randomBytes, subtle } from '../platform.ts'
import { messagesPerKey } from './bounds.ts'
import { type Binding, type Bytes, type Cipher, encode, failure } from './cipher.ts'

const AES = 'AES-GCM'
const USES = ['encrypt', 'decrypt'] as const
const KEY_BYTES = 32
const IV_BYTES = 12

/** 32 random bytes, or a key of WebCrypto: of AES-GCM, and with `perTopic` of HKDF. */
export type AesKey = Bytes | CryptoKey

export interface AesGcmOptions {
  /**
   * All keys that open, by id. Looked into for every message, so that keys can be added and taken away at any time; an id names one key
   * for good.
   */
  readonly keys: ReadonlyMap<string, AesKey>
  /** The id of the one that seals. */
  readonly current: string
  /** Derive a key for each topic by HKDF, so that one that leaks opens one topic. All who share keys must say the same. Default false. */
  readonly perTopic?: boolean
  /** After so many messages a key seals no more here. Default 2^32, which is what all who have the key may seal together. */
  readonly messagesPerKey?: number
}

export interface AesGcm extends Cipher {
  /** The key that seals from now on; set it to rotate, once all who read have that key. */
  keyId: string
}

/** AES-GCM with 256 bits on WebCrypto: in browsers it needs a secure context. */
export function aesGcm({ keys, current, perTopic, messagesPerKey: most = messagesPerKey }: AesGcmOptions): AesGcm {
  const made = new Map<string, { readonly key: Promise<CryptoKey>; sealed: number }>()

  const keyFor = ({ keyId, topic }: Binding) => {
    const key = keys.get(keyId)
    if (!key) throw failure('cipher_unknown_key', 'No key of this id is here')
    const name = perTopic ? `${keyId} ${topic}` : keyId
    const one = made.get(name) ?? { key: perTopic ? derived(key, topic) : imported(key, AES, USES), sealed: 0 }
    made.set(name, one)
    return one
  }

  return {
    keyId: current,
    async seal(plain, binding) {
      const one = keyFor(binding)
      if (++one.sealed > most) throw failure('cipher_exhausted', 'The key is used up; rotate it')
      const iv = randomBytes(IV_BYTES)
      const sealed = await subtle().encrypt({ name: AES, iv, additionalData: binding.bytes }, await one.key, plain)
      const bytes = new Uint8Array(IV_BYTES + sealed.byteLength)
      bytes.set(iv)
      bytes.set(new Uint8Array(sealed), IV_BYTES)
      return bytes
    },
    async open(sealed, binding) {
      const algorithm = { name: AES, iv: sealed.subarray(0, IV_BYTES), additionalData: binding.bytes }
      const key = await keyFor(binding).key
      return new Uint8Array(await subtle().decrypt(algorithm, key, sealed.subarray(IV_BYTES)))
    },
  }
}

async function derived(from: AesKey, topic: string): Promise<CryptoKey> {
  const name = 'HKDF'
  const key = await imported(from, name, ['deriveKey'])
  const algorithm = { name, hash: 'SHA-256', salt: new Uint8Array(), info: encode(`messkit ${topic}`) }
  return subtle().deriveKey(algorithm, key, { name: AES, length: 256 }, false, USES)
}

async function imported(key: AesKey, name: string, uses: readonly KeyUsage[]): Promise<CryptoKey> {
  if (!(key instanceof Uint8Array)) return key
  if (key.length !== KEY_BYTES) throw failure('bad_option', `A key has ${KEY_BYTES} bytes`)
  return subtle().importKey('raw', key, name, false, uses)
}
