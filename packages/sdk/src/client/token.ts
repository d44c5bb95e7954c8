/** Asks the application for tokens: one question at a time, whoever in this client needs one. */
export type AskToken = (ask: { readonly why: 'first' | 'expiring' | 'refused'; readonly signal: AbortSignal }) => Promise<string> | string

export class Tokens {
  readonly #ask: AskToken | undefined
  readonly #abort = new AbortController()
  #token: string | undefined
  #asking: Promise<string> | undefined

  constructor(ask: AskToken | undefined) {
    this.#ask = ask
  }

  /** The token at hand for a first connection, a new one otherwise; `undefined` where the client has no tokens. */
  async get(why: 'first' | 'expiring' | 'refused', refused?: string): Promise<string | undefined> {
    if (!this.#ask) return undefined
    // Several topics are refused with the same token at once: whoever comes second takes what the first was given.
    if (this.#token !== undefined && (why === 'first' || (refused !== undefined && this.#token !== refused))) return this.#token
    this.#asking ??= this.#fetch(this.#ask, why).finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #fetch(ask: AskToken, why: 'first' | 'expiring' | 'refused'): Promise<string> {
    const token = await ask({ why, signal: this.#abort.signal })
    if (typeof token !== 'string' || token === '') throw new TypeError('The token callback must answer with a non-empty string')
    this.#token = token
    return token
  }

  close(): void {
    this.#abort.abort()
  }
}
