import { shorten } from './change.ts'
import { button, el, setText } from './dom.ts'
import type { Item } from './list.ts'
import { toneOf } from './tone.ts'

/** What a person does to an item. */
export interface ItemActions {
  readonly user: string
  readonly tick: (item: Item, done: boolean) => void
  readonly rename: (item: Item, text: string) => void
  readonly remove: (item: Item) => void
}

export const TEXT_CHARS = 200

/** One item, from when it is typed until it is gone: the row stays the same while the change turns from waiting to stored. */
export class ItemRow {
  readonly element: HTMLLIElement
  readonly checkbox = el('input', '')
  readonly #actions: ItemActions
  readonly #text = el('span', 'text')
  readonly #facts = el('span', 'facts')
  readonly #rename = button('icon rename', '', () => this.#edit())
  readonly #remove: HTMLButtonElement
  #item: Item

  constructor(item: Item, actions: ItemActions) {
    this.#item = item
    this.#actions = actions
    this.checkbox.type = 'checkbox'
    this.checkbox.addEventListener('change', () => actions.tick(this.#item, this.checkbox.checked))
    this.#remove = button('icon remove', '', () => actions.remove(this.#item))
    const label = el('label', 'tick', this.checkbox, this.#text)
    this.element = el('li', 'item', label, this.#facts, this.#rename, this.#remove)
    this.update(item)
  }

  update(item: Item): void {
    this.#item = item
    const { text, done, waiting } = item
    if (this.checkbox.checked !== done) this.checkbox.checked = done
    this.element.classList.toggle('done', done)
    this.element.classList.toggle('waiting', waiting)
    setText(this.#text, shorten(text))
    this.#rename.ariaLabel = this.#rename.title = `Rename ${shorten(text)}`
    this.#remove.ariaLabel = this.#remove.title = `Remove ${shorten(text)}`
    this.#showFacts(item)
  }

  /** Somebody else did something to it. */
  flash(): void {
    this.element.classList.remove('fresh')
    void this.element.offsetWidth // so that the animation begins again
    this.element.classList.add('fresh')
  }

  #showFacts({ by, doneBy, waiting }: Item): void {
    const who = doneBy ?? by
    const key = `${doneBy === undefined ? 'by' : 'ticked by'} ${who} ${waiting}`
    if (this.#facts.dataset.key === key) return
    this.#facts.dataset.key = key
    // One's own name says nothing new, and what waits is one's own doing.
    const seen = who === this.#actions.user || waiting ? 'sr' : `tone-${toneOf(who)}`
    const name = el('span', `by ${seen}`, shorten(who))
    const verb = el('span', 'sr', doneBy === undefined ? 'added by ' : 'ticked by ')
    this.#facts.replaceChildren(...(waiting ? [el('span', 'state', 'waiting')] : []), verb, name)
  }

  #edit(): void {
    const field = el('input', '')
    field.value = this.#item.text
    field.maxLength = Math.max(TEXT_CHARS, field.value.length)
    field.ariaLabel = `New name for ${shorten(this.#item.text)}`
    field.enterKeyHint = 'done'
    const save = el('button', 'small primary', 'Save')
    const form = el('form', 'editing', field, save)
    let ended = false
    const end = (takes: boolean): void => {
      if (ended) return
      ended = true
      const hadFocus = form.contains(document.activeElement)
      const text = field.value.trim()
      form.remove()
      this.element.classList.remove('renaming')
      if (hadFocus) this.#rename.focus()
      if (takes && text !== '' && text !== this.#item.text) this.#actions.rename(this.#item, text)
    }
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      end(true)
    })
    field.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') end(false)
    })
    // Whoever goes on to something else has finished typing, and nothing typed is lost.
    form.addEventListener('focusout', ({ relatedTarget }) => {
      if (!form.contains(relatedTarget as Node | null)) end(true)
    })
    this.element.classList.add('renaming')
    this.element.prepend(form)
    field.focus()
    field.select()
  }
}
