import type { OutboxEntry, Status } from '@messkit/sdk'
import type { Sent } from './outgoing.ts'

/** A message that waits for its ack, as far as this tab knows it. */
export interface Waiting {
  readonly id: string
  /** Only ids cross tabs and reloads by themselves; see `Drafts`. */
  readonly text: string | undefined
  readonly safeOn: Sent['safeOn']
  readonly isAcked: boolean
}

/**
 * What waits, in the order in which it will be sent: as the outbox lists it, and behind that what was written here since somebody looked.
 * An entry that was written here is listed as it is known here.
 */
export function inSendOrder(
  sent: readonly Sent[],
  entries: readonly OutboxEntry[],
  { textOf, storage }: { textOf: (id: string) => string | undefined; storage: Status['storage'] },
): Waiting[] {
  const own = new Map(sent.map((message) => [message.id, message]))
  const listed = entries.flatMap(({ id, state }): Waiting[] => {
    const message = own.get(id)
    own.delete(id)
    if (message) return [ofSent(message)]
    if (state === 'refused') return []
    return [{ id, text: textOf(id), safeOn: storage === 'disk' ? 'disk' : 'memory', isAcked: false }]
  })
  return [...listed, ...[...own.values()].map(ofSent)]
}

const ofSent = ({ id, text, safeOn, ack }: Sent): Waiting => ({ id, text, safeOn, isAcked: ack !== undefined })
