/** Runs a task over and over while it is asked for, one run at a time; what is asked for in one go is one run. */
export class Pump {
  readonly #task: () => Promise<void>
  #running: Promise<void> | undefined
  #wanted = false

  /** @param task handles its own failures */
  constructor(task: () => Promise<void>) {
    this.#task = task
  }

  /** Resolves when nothing is left to do. */
  run(): Promise<void> {
    this.#wanted = true
    this.#running ??= this.#loop()
    return this.#running
  }

  async #loop(): Promise<void> {
    // Not yet: more may be asked for before the caller is done.
    await undefined
    try {
      while (this.#wanted) {
        this.#wanted = false
        await this.#task()
      }
    } finally {
      this.#running = undefined
    }
  }
}
