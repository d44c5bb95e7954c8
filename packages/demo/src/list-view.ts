import { focusField } from './composer.ts'
import { arrange, byId, count, setText } from './dom.ts'
import { type ItemActions, ItemRow } from './item-row.ts'
import type { Item } from './list.ts'

interface ListFacts {
  readonly items: readonly Item[]
  /** Items to which somebody else has just done something. */
  readonly fresh: ReadonlySet<string>
  /** What to say if there is nothing; `undefined` while that is not known. */
  readonly emptyText: string | undefined
}

/** The items of a list. */
export class ListView {
  readonly #actions: ItemActions
  readonly #list = byId('items', 'ul')
  readonly #summary = byId('summary', 'div')
  readonly #empty = byId('empty', 'div')
  readonly #progress = byId('progress', 'p')
  readonly #removeTicked = byId('remove-ticked', 'button')
  #rows = new Map<string, ItemRow>()
  #items: readonly Item[] = []
  #reveal: string | undefined

  constructor(actions: ItemActions) {
    this.#actions = actions
    this.#removeTicked.addEventListener('click', () => {
      for (const item of this.#items) if (item.done) actions.remove(item)
      focusField()
    })
  }

  /** Scroll to an item that is drawn next. */
  reveal(item: string): void {
    this.#reveal = item
  }

  draw({ items, fresh, emptyText }: ListFacts): void {
    const focused = this.#focused()
    const rows = new Map(items.map((item) => [item.id, this.#row(item)]))
    arrange(
      this.#list,
      [...rows.values()].map(({ element }) => element),
    )
    this.#rows = rows
    this.#items = items
    for (const item of fresh) rows.get(item)?.flash()
    if (focused !== undefined) this.#keepFocus(focused)
    if (this.#reveal !== undefined) rows.get(this.#reveal)?.element.scrollIntoView({ block: 'nearest' })
    this.#reveal = undefined

    const done = items.filter((item) => item.done).length
    this.#summary.hidden = items.length === 0
    setText(this.#progress, `${count(done)} of ${count(items.length)} done`)
    this.#removeTicked.hidden = done === 0
    this.#empty.hidden = items.length > 0 || emptyText === undefined
    setText(byId('empty-text', 'p'), emptyText ?? '')
  }

  #row(item: Item): ItemRow {
    const known = this.#rows.get(item.id)
    if (!known) return new ItemRow(item, this.#actions)
    known.update(item)
    return known
  }

  /** Where in the list the focus is. */
  #focused(): number | undefined {
    const row = document.activeElement?.closest('#items > li')
    return row ? [...this.#list.children].indexOf(row) : undefined
  }

  /** If the row with the focus is gone, the one in its place gets it: a keyboard must not begin again at the top. */
  #keepFocus(index: number): void {
    if (document.activeElement?.closest('#items > li')) return
    const rows = [...this.#rows.values()]
    const next = rows[Math.min(index, rows.length - 1)]
    if (next) next.checkbox.focus({ preventScroll: true })
    else focusField()
  }
}
