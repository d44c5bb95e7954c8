import type { Acks } from './acks.ts'
import { describe, shorten } from './change.ts'
import { arrange, byId, count, el, timeOfDay } from './dom.ts'
import type { Changes } from './list.ts'
import { toneOf } from './tone.ts'

const ROWS = 30

type Entry = Changes[number]

/** What happens underneath: the newest messages of the list's topic, with offset, sender and ack. Drawn only while somebody looks. */
export class LogView {
  readonly #details = byId('underneath', 'details')
  readonly #list = byId('log', 'ol')
  readonly #acks: Acks
  #rows = new Map<string, HTMLLIElement>()

  constructor({ acks, onOpen }: { acks: Acks; onOpen: () => void }) {
    this.#acks = acks
    this.#details.addEventListener('toggle', onOpen)
  }

  draw(changes: Changes, nameOf: (item: string) => string | undefined): void {
    if (!this.#details.open) return
    const rows = new Map<string, HTMLLIElement>()
    // The newest first: there is no need to scroll.
    for (const entry of changes.slice(-ROWS).reverse()) {
      const ack = this.#ack(entry)
      const key = `${entry.id} ${entry.pending} ${ack}`
      rows.set(key, this.#rows.get(key) ?? row(entry, describe(entry.data, nameOf), ack))
    }
    arrange(this.#list, [...rows.values()])
    this.#rows = rows
  }

  #ack(entry: Entry): string {
    if (entry.pending) return entry.error ? 'refused' : 'waiting'
    if (!entry.own) return ''
    const tookMs = this.#acks.tookMs(entry.id)
    if (tookMs === undefined) return '✓'
    return tookMs < 1_000 ? `✓ ${Math.max(1, Math.round(tookMs))} ms` : `✓ ${(tookMs / 1_000).toFixed(1)} s`
  }
}

function row(entry: Entry, what: string, ack: string): HTMLLIElement {
  const { by } = entry.data
  const state = el('span', 'ack', ...(ack.startsWith('✓') ? [el('span', 'sr', 'acked ')] : []), ack)
  const facts = el('span', 'when', state)
  if (!entry.pending) {
    const time = el('time', '', timeOfDay(entry.at))
    time.dateTime = entry.at.toISOString()
    facts.prepend(time)
  }
  const offset = entry.pending ? '···' : count(entry.offset)
  return el(
    'li',
    `line${entry.pending ? ' waiting' : ''}`,
    el('span', 'offset', el('span', 'sr', entry.pending ? 'No offset yet ' : 'Offset '), offset),
    el('span', 'what', el('b', `tone-${toneOf(by)}`, shorten(by)), ` ${what}`),
    facts,
  )
}
