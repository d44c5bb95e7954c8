/** Often enough to follow what others do, seldom enough to hear every word. */
const PAUSE_MS = 1_500

/** Tells screen readers politely what happened: one change in its words, many as a number. */
export class Announcer {
  readonly #region: HTMLElement
  #changes = 0
  #newest = ''
  #sentence = ''
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(region: HTMLElement) {
    this.#region = region
  }

  /** What somebody else did. */
  change(what: string): void {
    this.#changes++
    this.#newest = what
    this.#soon()
  }

  /** The last sentence counts: a connection that came and went within a moment is not spoken of. */
  say(sentence: string): void {
    this.#sentence = sentence
    this.#soon()
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => this.#speak(), PAUSE_MS)
  }

  #speak(): void {
    this.#timer = undefined
    const heard = this.#changes > 1 ? `${this.#changes} changes. The newest: ${this.#newest}` : this.#newest
    this.#region.textContent = [this.#sentence, heard].filter(Boolean).join(' ')
    this.#changes = 0
    this.#newest = this.#sentence = ''
  }
}
