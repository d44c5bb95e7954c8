/** Often enough to follow a talk, seldom enough to hear every word. */
const PAUSE_MS = 1_500
const SPOKEN_CHARS = 200

/**
 * Tells screen readers politely what happened: one message in its words, many as a number. A live region on the list itself would read out
 * every one of ten thousand.
 */
export class Announcer {
  readonly #region: HTMLElement
  #messages = 0
  #newest = ''
  #sentence = ''
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(region: HTMLElement) {
    this.#region = region
  }

  message(by: string, text: string): void {
    this.#messages++
    this.#newest = `${by}: ${text.slice(0, SPOKEN_CHARS)}`
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
    const heard =
      this.#messages > 1 ? `${this.#messages} new messages. The newest is from ${this.#newest}` : this.#newest
    this.#region.textContent = [this.#sentence, heard].filter(Boolean).join(' ')
    this.#messages = 0
    this.#newest = this.#sentence = ''
  }
}
