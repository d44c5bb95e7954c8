import type { Message } from '@messkit/sdk'
import { count, setText } from './dom.ts'
import type { Note } from './note.ts'
import type { Sent } from './outgoing.ts'
import type { Line } from './room.ts'
import { gapRow, messageRow, showAck, unreadableRow } from './rows.ts'

/** Rows kept while the newest are looked at, and while somebody reads further up. */
const ROWS = 200
const ROWS_READING = 600
/** Closer to the end than this counts as being there. */
const NEAR_PX = 48
/** With more than this in one frame nothing is animated. */
const CALM_ROWS = 4

interface Shown {
  readonly line: Line
  readonly row: HTMLLIElement
}

interface Parts {
  readonly scroller: HTMLElement
  readonly list: HTMLOListElement
  readonly newest: HTMLButtonElement
}

/**
 * The list of messages. What arrives is queued and drawn by `draw()`, once per frame; what would be trimmed at once is never drawn, so
 * that ten thousand messages cost as much as the newest two hundred.
 */
export class LogView {
  readonly #parts: Parts
  #queue: { line: Line; sent: Sent | undefined }[] = []
  #shown: Shown[] = []
  readonly #acks = new Map<string, HTMLSpanElement>()
  #unseen = 0
  #following = true
  #scrollTop = 0

  constructor(parts: Parts) {
    this.#parts = parts
    const { scroller, newest } = parts
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    newest.addEventListener('click', () => {
      this.follow()
      scroller.focus({ preventScroll: true })
    })
    // A list that becomes lower, by a keyboard on the glass or a taller field, still ends with the newest message.
    new ResizeObserver(() => this.#stick()).observe(scroller)
  }

  get isEmpty(): boolean {
    return this.#shown.length === 0 && this.#queue.length === 0
  }

  get oldest(): Message<Note> | undefined {
    for (const { line } of this.#shown) if (line.kind === 'message') return line.message
    return undefined
  }

  /** By whom the last row is, if it is a message. */
  get lastBy(): string | undefined {
    const line = this.#shown.at(-1)?.line
    return line?.kind === 'message' ? line.message.data.by : undefined
  }

  /** No more rows fit in above. */
  get isFull(): boolean {
    return this.#shown.length >= ROWS_READING
  }

  add(line: Line, sent: Sent | undefined): void {
    this.#queue.push({ line, sent })
    if (this.#queue.length >= 2 * ROWS_READING) this.#queue = this.#queue.slice(-ROWS_READING)
  }

  /** The ack of a message whose row is here already. */
  acked({ id, ack }: Sent): void {
    const cell = this.#acks.get(id)
    if (cell) showAck(cell, ack)
  }

  addBefore(messages: readonly Message<Note>[]): void {
    const { scroller, list } = this.#parts
    const below = scroller.scrollHeight - scroller.scrollTop
    const shown = messages.map((message, i) => this.#make({ kind: 'message', message }, undefined, messages[i - 1]))
    const last = messages.at(-1)
    const first = this.#shown[0]
    if (last && first?.line.kind === 'message' && first.line.message.data.by === last.data.by)
      first.row.classList.add('same')
    list.prepend(...shown.map(({ row }) => row))
    this.#shown.unshift(...shown)
    this.#following = false
    scroller.scrollTop = scroller.scrollHeight - below
  }

  clear(): void {
    this.#queue = []
    this.#shown = []
    this.#acks.clear()
    this.#parts.list.replaceChildren()
    this.follow()
  }

  /** Go to the end, and stay there. */
  follow(): void {
    this.#following = true
    this.#unseen = 0
    this.#stick()
    this.#showUnseen()
  }

  draw(): void {
    const rows = this.#following ? ROWS : ROWS_READING
    const queue = this.#queue.slice(-rows)
    if (!this.#following) this.#unseen += this.#queue.length
    this.#queue = []
    if (queue.length > 0) {
      this.#trim(rows - queue.length)
      const calm = queue.length > CALM_ROWS
      for (const { line, sent } of queue) {
        const before = this.#shown.at(-1)?.line
        const shown = this.#make(line, sent, before?.kind === 'message' ? before.message : undefined)
        if (!calm) shown.row.classList.add('fresh')
        this.#shown.push(shown)
      }
      this.#parts.list.append(...this.#shown.slice(-queue.length).map(({ row }) => row))
    }
  }

  /** After everything in the scroller was drawn. */
  settle(): void {
    this.#stick()
    this.#showUnseen()
  }

  #make(line: Line, sent: Sent | undefined, before: Message<Note> | undefined): Shown {
    if (line.kind === 'gap') return { line, row: gapRow(line.gap) }
    if (line.kind === 'unreadable') return { line, row: unreadableRow(line.offset, line.error.message) }
    const made = messageRow(line.message, sent?.ack, before?.data.by === line.message.data.by)
    if (line.message.own) this.#acks.set(line.message.id, made.ack)
    return { line, row: made.row }
  }

  #trim(keep: number): void {
    const gone = this.#shown.splice(0, Math.max(0, this.#shown.length - keep))
    for (const { line, row } of gone) {
      row.remove()
      if (line.kind === 'message') this.#acks.delete(line.message.id)
    }
    if (gone.length > 0) this.#shown[0]?.row.classList.remove('same')
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#parts.scroller
    // Rows that are added below move the end away, and nobody has scrolled.
    const wentUp = scrollTop < this.#scrollTop
    this.#scrollTop = scrollTop
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX) this.follow()
    else if (wentUp) this.#following = false
    this.#showUnseen()
  }

  #stick(): void {
    if (this.#following) this.#parts.scroller.scrollTop = this.#parts.scroller.scrollHeight
  }

  #showUnseen(): void {
    const { newest } = this.#parts
    newest.hidden = this.#following
    setText(newest, this.#unseen > 0 ? `${count(this.#unseen)} new ↓` : 'Newest ↓')
  }
}
