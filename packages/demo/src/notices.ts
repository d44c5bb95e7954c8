import { el } from './dom.ts'

const SHOWN = 3

/** Troubles that a person should know of, until dismissed. The same one again is shown once. */
export class Notices {
  readonly #list: HTMLElement
  readonly #shown = new Map<string, HTMLElement>()

  constructor(list: HTMLElement) {
    this.#list = list
  }

  show(text: string): void {
    if (this.#shown.has(text)) return
    const close = el('button', 'close', '×')
    close.type = 'button'
    close.ariaLabel = 'Dismiss'
    close.addEventListener('click', () => this.#drop(text))
    const notice = el('p', 'notice', el('span', '', text), close)
    this.#shown.set(text, notice)
    this.#list.append(notice)
    const [oldest] = this.#shown.keys()
    if (this.#shown.size > SHOWN && oldest !== undefined) this.#drop(oldest)
  }

  #drop(text: string): void {
    this.#shown.get(text)?.remove()
    this.#shown.delete(text)
  }
}
