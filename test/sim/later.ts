/**
 * A promise of virtual time: who waits for it hears of it in the step that settles it, so that no microtask takes part and
 * every order of events is the seed's. The shells of the product tell answers from promises by `instanceof`, and take it for one.
 */
export class Later<T> extends Promise<T> {
  #state: 'pending' | 'done' | 'failed' = 'pending'
  #outcome: unknown
  #waiting: (() => void)[] = []

  constructor() {
    super(() => {})
  }

  resolve(value: T | PromiseLike<T>): void {
    if (value instanceof Promise)
      value.then(
        (settled: T) => this.resolve(settled),
        (error: unknown) => this.reject(error),
      )
    else this.#settle('done', value)
  }

  reject(error: unknown): void {
    this.#settle('failed', error)
  }

  try(work: () => T | PromiseLike<T>): void {
    try {
      this.resolve(work())
    } catch (error) {
      this.reject(error)
    }
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise.
  override then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Later<A | B> {
    const next = new Later<A | B>()
    const hear = (): void => {
      if (this.#state === 'done') next.try(() => (done ? done(this.#outcome as T) : (this.#outcome as A)))
      else if (failed) next.try(() => failed(this.#outcome))
      else next.reject(this.#outcome)
    }
    if (this.#state === 'pending') this.#waiting.push(hear)
    else hear()
    return next
  }

  #settle(state: 'done' | 'failed', outcome: unknown): void {
    if (this.#state !== 'pending') return
    this.#state = state
    this.#outcome = outcome
    for (const hear of this.#waiting.splice(0)) hear()
  }
}
