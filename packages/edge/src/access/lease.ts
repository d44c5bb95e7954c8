/** A copy of the policy is asked about in the background when it is this old, and not gone by any more when it is that old. */
const RENEW_MS = 10_000
const LEASE_MS = 30_000

/**
 * How long a copy of the policy may be gone by. Objects are told of changes; this bounds what happens where the telling fails. No timer: who
 * does nothing needs no policy, and who does something looks here first.
 */
export class Lease {
  readonly #ask: () => Promise<string | undefined>
  readonly #take: (text: string) => Promise<void>
  readonly #now: () => number
  #askedAt = Number.NEGATIVE_INFINITY
  #asking: Promise<boolean> | undefined
  /** Answers that were asked for before this changed come from somebody who has forgotten us since. */
  #life = 0

  /** @param ask the directory, for news @param take the news */
  constructor(ask: () => Promise<string | undefined>, take: (text: string) => Promise<void>, now: () => number) {
    this.#ask = ask
    this.#take = take
    this.#now = now
  }

  /** Whether the copy counts as it is. */
  get holds(): boolean {
    const age = this.#now() - this.#askedAt
    return age >= 0 && age < LEASE_MS
  }

  get due(): boolean {
    return this.#now() - this.#askedAt >= RENEW_MS
  }

  /** Nobody tells us of changes any more: before anything else happens, we have to ask. */
  end(): void {
    this.#askedAt = Number.NEGATIVE_INFINITY
    this.#life++
  }

  /** One question at a time, whoever asks. @returns whether the directory answered */
  renew(): Promise<boolean> {
    this.#asking ??= this.#renew().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #renew(): Promise<boolean> {
    const [now, life] = [this.#now(), this.#life]
    try {
      const text = await this.#ask()
      if (text !== undefined) await this.#take(text)
      if (life === this.#life) this.#askedAt = now
      return true
    } catch (error) {
      console.error('the directory did not answer:', error)
      return false
    }
  }
}
