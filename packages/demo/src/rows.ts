import type { Gap, Message } from '@messkit/sdk'
import { count, el, timeOfDay } from './dom.ts'
import type { Note } from './note.ts'
import type { SentAck } from './outgoing.ts'

/** A message may have a quarter of a megabyte; nobody reads that in a list. */
const SHOWN_CHARS = 600
const TONES = 6

const GAPS: Record<Gap['reason'], (which: string) => string> = {
  retention: (which) => `${which} are gone: the server keeps only the newest.`,
  epoch: () => 'The topic was started anew here.',
  rewound: () => 'The server went back to an earlier state here.',
  access: (which) => `${which} are not for you to read.`,
}

export interface MessageRow {
  readonly row: HTMLLIElement
  readonly ack: HTMLSpanElement
}

/** @param sameAsBefore the row above is by the same person; the name is then kept for screen readers alone */
export function messageRow(message: Message<Note>, sent: SentAck | undefined, sameAsBefore: boolean): MessageRow {
  const { data, offset, at, own } = message
  const time = el('time', '', timeOfDay(at))
  time.dateTime = at.toISOString()
  const ack = el('span', 'ack')
  if (own) showAck(ack, sent)
  const row = el(
    'li',
    `row${own ? ' own' : ''}${sameAsBefore ? ' same' : ''}`,
    el('span', 'offset', el('span', 'sr', 'Offset '), count(offset)),
    el('span', `by tone-${toneOf(data.by)}`, shorten(data.by, 64)),
    el('span', 'text', shorten(data.text, SHOWN_CHARS)),
    el('span', 'meta', time, ack),
  )
  return { row, ack }
}

/** Own messages are stored, as they came back; how long the ack took is known for those of this page. */
export function showAck(cell: HTMLSpanElement, ack: SentAck | undefined): void {
  const took = ack
    ? ack.afterMs < 1_000
      ? `${Math.max(1, Math.round(ack.afterMs))} ms`
      : `${(ack.afterMs / 1_000).toFixed(1)} s`
    : ''
  cell.replaceChildren(el('span', 'sr', 'acked '), took ? `✓ ${took}` : '✓')
  cell.title = ack?.duplicate
    ? 'Sent twice, as the first ack was lost; the server recognised the repeat and stored it once.'
    : 'Stored on the server for good.'
  if (ack?.duplicate) cell.append(el('span', 'once', 'once'))
}

export function gapRow({ from, to, reason }: Gap): HTMLLIElement {
  return el('li', 'gap', el('span', 'tear', GAPS[reason](`Messages ${count(from)} to ${count(to - 1)}`)))
}

export function unreadableRow(offset: number, reason: string): HTMLLIElement {
  return el(
    'li',
    'row unreadable',
    el('span', 'offset', count(offset)),
    el('span', 'text', `Not a message of this page: ${reason}`),
  )
}

export function shorten(text: string, chars: number): string {
  if (text.length <= chars) return text
  return `${text.slice(0, chars).toWellFormed()} … (${count(text.length)} characters)`
}

/** The same person has the same colour in every tab. */
export function toneOf(name: string): number {
  let sum = 0
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 65_521
  return sum % TONES
}
