import type { OutboxEntry } from '@messkit/sdk'
import { count, el, setText } from './dom.ts'
import { shorten } from './rows.ts'
import type { Waiting } from './waiting.ts'

/** The newest that wait; a number tells of the others. */
const ROWS = 20
const SHOWN_CHARS = 300

export interface TrayContent {
  readonly waiting: readonly Waiting[]
  readonly refused: readonly OutboxEntry[]
  readonly textOf: (id: string) => string | undefined
  readonly by: string
  /** The last stored message is by the same person, so the name stands there already. */
  readonly continues: boolean
}

interface Decisions {
  readonly retry: (id: string) => void
  readonly discard: (id: string) => void
}

/** What waits in the outbox, where it will stand once the server has it; and what the server refused, until somebody decides. */
export class TrayView {
  readonly #list: HTMLOListElement
  readonly #more: HTMLElement
  readonly #decisions: Decisions
  #rows = new Map<string, HTMLLIElement>()

  constructor(parts: { list: HTMLOListElement; more: HTMLElement } & Decisions) {
    this.#list = parts.list
    this.#more = parts.more
    this.#decisions = parts
  }

  draw({ waiting, refused, textOf, by, continues }: TrayContent): void {
    const rows = new Map<string, HTMLLIElement>()
    const keep = (id: string, make: () => HTMLLIElement): HTMLLIElement => {
      const row = this.#rows.get(id) ?? make()
      rows.set(id, row)
      return row
    }

    for (const entry of refused.slice(0, ROWS)) {
      keep(`refused ${entry.id}`, () => this.#refusedRow(entry, textOf(entry.id)))
    }
    let same = continues && rows.size === 0
    for (const message of newestReadable(waiting)) {
      const row = keep(message.id, () => waitingRow(by, message.text))
      row.classList.toggle('same', same)
      same = true
      if (row.lastElementChild) setText(row.lastElementChild, stateOf(message))
    }

    const hidden = waiting.length + refused.length - rows.size
    setText(this.#more, `${count(hidden)} more in the outbox`)
    this.#more.hidden = hidden === 0
    this.#show(rows)
  }

  /** Rows that stay are not touched, so that a button keeps the focus. */
  #show(rows: Map<string, HTMLLIElement>): void {
    for (const [id, row] of this.#rows) if (!rows.has(id)) row.remove()
    let at: Element | null = this.#list.firstElementChild
    for (const row of rows.values()) {
      if (row === at) at = at.nextElementSibling
      else this.#list.insertBefore(row, at)
    }
    this.#rows = rows
  }

  #refusedRow({ id, error }: OutboxEntry, text = 'One of many'): HTMLLIElement {
    const again = el('button', 'small', 'Send again')
    const discard = el('button', 'small', 'Discard')
    again.type = discard.type = 'button'
    again.addEventListener('click', () => this.#decisions.retry(id))
    discard.addEventListener('click', () => this.#decisions.discard(id))
    return el(
      'li',
      'row refused',
      el('span', 'offset', '✕'),
      el('span', 'text', shorten(text, SHOWN_CHARS)),
      el('span', 'reason', `Refused: ${error?.message ?? 'the server did not take it'}`),
      el('span', 'decide', again, discard),
    )
  }
}

type Readable = Waiting & { readonly text: string }

function newestReadable(waiting: readonly Waiting[]): Readable[] {
  const found: Readable[] = []
  for (let i = waiting.length - 1; i >= 0 && found.length < ROWS; i--) {
    const message = waiting[i]
    if (message?.text !== undefined) found.unshift(message as Readable)
  }
  return found
}

/** Laid out like a stored message, so that nothing jumps when it becomes one. */
function waitingRow(by: string, text: string): HTMLLIElement {
  const dots = el('span', 'offset', '···')
  dots.ariaHidden = 'true'
  const name = el('span', 'by', by)
  return el('li', 'row waiting', dots, name, el('span', 'text', shorten(text, SHOWN_CHARS)), el('span', 'meta'))
}

function stateOf({ isAcked, safeOn }: Waiting): string {
  if (isAcked) return '✓ acked'
  if (safeOn === undefined) return 'waiting'
  return safeOn === 'disk' ? 'waiting, on disk' : 'waiting, in memory'
}
