import { type Key, pickKey, readKeySet, type Wanted } from './keys.ts'

/** Keys are asked for again when they are this old, and not used any more when they are that old. */
const FRESH_MS = 10 * 60_000
const USABLE_MS = 60 * 60_000
/** Between two requests for keys: tokens with made-up key names must not become a flood at the issuer. */
const COOLDOWN_MS = 30_000
const RETRY_MS = 2_000
const TIMEOUT_MS = 5_000
const POLL_MS = 20
const SET_BYTES = 256 * 1024

/**
 * The key set at a URL, for all requests that this isolate serves. What is shared is the outcome and never a promise: the one who waits for
 * another request's promise waits forever if that request is cut off.
 */
export class RemoteKeys {
  readonly #url: string
  readonly #now: () => number
  #keys: readonly Key[] = []
  #fetchedAt = Number.NEGATIVE_INFINITY
  #nextTryAt = Number.NEGATIVE_INFINITY
  /** While somebody fetches: when that will have ended at the latest. */
  #busyUntil = Number.NEGATIVE_INFINITY

  constructor(url: string, now: () => number) {
    this.#url = url
    this.#now = now
  }

  /** `undefined`: the issuer has no such key. */
  async find(wanted: Wanted): Promise<Key | undefined | 'unavailable'> {
    if (this.#age() > FRESH_MS) await this.#refresh()
    if (this.#age() > USABLE_MS) return 'unavailable'
    const known = pickKey(this.#keys, wanted)
    if (known) return known
    const before = this.#fetchedAt
    await this.#refresh()
    // Not asked again means not known: the key may be newer than what we have. The client is told to come back.
    return this.#fetchedAt === before ? 'unavailable' : pickKey(this.#keys, wanted)
  }

  #age(): number {
    return this.#now() - this.#fetchedAt
  }

  async #refresh(): Promise<void> {
    if (this.#now() < this.#busyUntil) {
      while (this.#now() < this.#busyUntil) await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      return
    }
    if (this.#now() < this.#nextTryAt) return
    this.#busyUntil = this.#now() + TIMEOUT_MS
    const keys = await this.#fetch()
    this.#busyUntil = Number.NEGATIVE_INFINITY
    this.#nextTryAt = this.#now() + (keys ? COOLDOWN_MS : RETRY_MS)
    if (!keys) return
    this.#keys = keys
    this.#fetchedAt = this.#now()
  }

  async #fetch(): Promise<readonly Key[] | undefined> {
    try {
      const response = await fetch(this.#url, {
        headers: { accept: 'application/jwk-set+json, application/json' },
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      const keys = response.status === 200 ? await readKeySet(JSON.parse(await readText(response))) : undefined
      if (!keys) console.error(`TOKEN_JWKS_URL did not answer with a key set, but with status ${response.status}`)
      return keys
    } catch (error) {
      console.error('TOKEN_JWKS_URL did not answer with a key set:', error)
      return undefined
    }
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for (const reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read()
    if (done) break
    text += decoder.decode(value as Uint8Array, { stream: true })
    if (text.length > SET_BYTES) throw new RangeError(`the key set is larger than ${SET_BYTES} bytes`)
  }
  return text
}
