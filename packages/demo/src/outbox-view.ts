import type { Status } from '@messkit/sdk'
import { describe } from './change.ts'
import { arrange, button, byId, count, el, setText } from './dom.ts'
import type { List, Unsent } from './list.ts'

/** The first that wait; a number tells of the others. */
const ROWS = 20

interface Decisions {
  readonly retry: (id: string) => void
  readonly discard: (id: string) => void
}

/** The outbox: what waits for the server, in the order in which it will be sent; and what the server refused, until somebody decides. */
export class OutboxView {
  readonly #decisions: Decisions
  readonly #section = byId('outbox', 'section')
  readonly #list = byId('outbox-list', 'ol')
  readonly #summary = byId('outbox-summary', 'p')
  readonly #more = byId('outbox-more', 'p')
  readonly #note = byId('refused-note', 'div')
  #rows = new Map<string, HTMLLIElement>()

  constructor(decisions: Decisions) {
    this.#decisions = decisions
    byId('refused-look', 'button').addEventListener('click', () => this.#look())
  }

  draw({ waiting, refused, nameOf }: List, status: Status): void {
    const rows = new Map<string, HTMLLIElement>()
    for (const entry of [...refused, ...waiting].slice(0, ROWS)) {
      const key = `${entry.id} ${entry.error?.code ?? ''}`
      rows.set(key, this.#rows.get(key) ?? this.#row(entry, describe(entry.change, nameOf)))
    }
    const hadFocus = this.#list.contains(document.activeElement)
    arrange(this.#list, [...rows.values()])
    this.#rows = rows
    if (hadFocus && !this.#list.contains(document.activeElement)) this.#section.focus({ preventScroll: true })

    const hidden = waiting.length + refused.length - rows.size
    const elsewhere = Math.max(0, status.unsent + status.refused - waiting.length - refused.length)
    const more = [hidden > 0 && `${count(hidden)} more`, elsewhere > 0 && `${count(elsewhere)} in other lists`]
    setText(this.#more, more.filter(Boolean).join(', '))
    setText(this.#summary, summaryOf(status))
    this.#note.hidden = refused.length === 0
    setText(
      byId('refused-text', 'span'),
      `${refused.length === 1 ? 'A change was' : `${count(refused.length)} changes were`} refused.`,
    )
  }

  #row({ id, error }: Unsent, what: string): HTMLLIElement {
    const text = el('span', 'text', what.charAt(0).toUpperCase() + what.slice(1))
    if (!error) return el('li', 'entry', text)
    return el(
      'li',
      'entry refused',
      text,
      el('span', 'reason', `Refused: ${error.message}`),
      el(
        'span',
        'buttons',
        button('small', 'Try again', () => this.#decisions.retry(id)),
        button('small', 'Discard', () => this.#decisions.discard(id)),
      ),
    )
  }

  #look(): void {
    this.#section.scrollIntoView({ block: 'center' })
    this.#section.focus({ preventScroll: true })
  }
}

function summaryOf({ unsent, refused, storage }: Status): string {
  if (unsent + refused === 0) return 'Empty: the server has everything.'
  const parts = [
    unsent > 0 && `${count(unsent)} waiting`,
    refused > 0 && `${count(refused)} refused`,
    storage === 'disk' ? 'safe on disk' : 'in memory: a reload would lose it',
  ]
  return parts.filter(Boolean).join(' · ')
}
