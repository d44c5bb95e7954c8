import { Alarm, elapsed } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'

/** An application that has not answered after this long, in ms, is asked again later. */
const PATIENCE_MS = 30_000

/** Asks the application for tokens: one question at a time, whoever in this client needs one. */
export type AskToken = (ask: {
  readonly why: 'first' | 'expiring' | 'refused'
  readonly signal: AbortSignal
}) => Promise<string> | string

export class Tokens {
  readonly #ask: AskToken | undefined
  readonly #renewed: () => void
  readonly #failed: (error: unknown) => void
  #abort: AbortController | undefined
  #token: string | undefined
  #asking: Promise<string> | undefined
  #closed = false

  constructor(ask: AskToken | undefined, renewed: () => void, failed: (error: unknown) => void) {
    this.#ask = ask
    this.#renewed = renewed
    this.#failed = failed
  }

  /** The token at hand for a first connection, a new one otherwise; `undefined` where the client has no tokens. */
  async get(why: 'first' | 'expiring' | 'refused', refused?: string): Promise<string | undefined> {
    if (!this.#ask) return undefined
    // Not to be offered again, also if there is no other for a while.
    if (why === 'refused' && this.#token === refused) this.#token = undefined
    // Several topics are refused with the same token at once: whoever comes second takes what the first was given.
    if (this.#token !== undefined && (why === 'first' || this.#token !== refused)) return this.#token
    this.#asking ??= this.#fetch(this.#ask, why).finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #fetch(ask: AskToken, why: 'first' | 'expiring' | 'refused'): Promise<string> {
    const abort = new AbortController()
    this.#abort = abort
    const { signal } = abort
    const patience = new Alarm(() => abort.abort(new DOMException('No token came in time', 'TimeoutError')))
    patience.set(elapsed() + PATIENCE_MS)
    try {
      const token = await Promise.race([ask({ why, signal }), aborted(signal)])
      if (typeof token !== 'string' || token === '' || token.length > CLIENT_LIMITS.tokenBytes) {
        throw new TypeError(`The token callback must answer with a string of 1 to ${CLIENT_LIMITS.tokenBytes} bytes`)
      }
      this.#token = token
      this.#renewed()
      return token
    } catch (error) {
      if (!this.#closed) this.#failed(error)
      throw error
    } finally {
      patience.clear()
    }
  }

  close(): void {
    this.#closed = true
    this.#abort?.abort()
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}
