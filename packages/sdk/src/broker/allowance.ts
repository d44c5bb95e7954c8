/** So much at once, and so much per second after that: a bound on what nobody gives credit for. */
export class Allowance {
  readonly #bytes: number
  readonly #bytesPerSecond: number
  #spent = 0
  #at = 0

  constructor(bytes: number, bytesPerSecond: number) {
    this.#bytes = bytes
    this.#bytesPerSecond = bytesPerSecond
  }

  spend(bytes: number): void {
    this.#spent += bytes
  }

  /** All of it is spent, and the time since has not paid for it yet. */
  exhausted(nowMs: number): boolean {
    const paid = (Math.max(0, nowMs - this.#at) / 1_000) * this.#bytesPerSecond
    this.#spent = Math.max(0, this.#spent - paid)
    this.#at = nowMs
    return this.#spent >= this.#bytes
  }
}
