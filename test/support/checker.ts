/**
 * Judges a history against the promises, in one pass and linear time. The same checker judges simulated, process and browser
 * runs: they only have to write down what happened, in the order in which it happened.
 */
export type HistoryEvent =
  /** A message was handed to `publish()`. `order` counts per publisher and topic. */
  | { readonly e: 'publish'; readonly id: string; readonly publisher: string; readonly order: number }
  | {
      readonly e: 'acked'
      readonly id: string
      readonly epoch: string
      readonly offset: number | undefined
      readonly duplicate: boolean
    }
  /** Certainly not stored. */
  | { readonly e: 'refused'; readonly id: string }
  /** May be stored or not: the publisher crashed or its home forgot it. */
  | { readonly e: 'unknown'; readonly id: string }
  /** A subscription begins, or goes on after its client crashed; `next` is the first offset it wants. */
  | {
      readonly e: 'start'
      readonly sub: string
      readonly epoch: string
      readonly next: number
      readonly resumed: boolean
    }
  /** A handler was entered; `handled` when it was done. */
  | {
      readonly e: 'deliver'
      readonly sub: string
      readonly epoch: string
      readonly offset: number
      readonly id: string
    }
  | { readonly e: 'handled'; readonly sub: string; readonly offset: number }
  | {
      readonly e: 'gap'
      readonly sub: string
      readonly epoch: string
      readonly from: number
      readonly to: number
      readonly reason: string
    }

/** What is stored at the end, read past everything that could hide something. */
export interface FinalLog {
  readonly epoch: string
  /** First offset that is still served, and the one after the last. */
  readonly floor: number
  readonly head: number
  readonly messages: readonly { readonly offset: number; readonly id: string }[]
}

export type Invariant =
  | 'acked message lost' // G2
  | 'message that nobody published' // G4
  | 'refused message stored' // G6
  | 'two messages at one offset' // G1
  | 'message stored twice' // G3
  | 'two acks that differ' // G3
  | 'delivered twice' // G4
  | 'delivered out of order or past a hole' // G4
  | 'gap where nothing is missing' // G5
  | 'gap at the wrong place' // G5
  | 'resumed past an unhandled message' // G4
  | 'publisher order broken' // G3
  | 'acked before an earlier ack' // G1
  | 'not delivered in the end' // G4
  | 'offsets with a hole' // G1
  | 'never settled' // G2, G6

export interface Verdict {
  readonly violations: ReadonlyMap<Invariant, { count: number; readonly examples: string[] }>
  readonly counts: Readonly<Record<HistoryEvent['e'], number>>
}

const EXAMPLES = 8

interface Sub {
  epoch: string
  /** The offset that must come next, and the first that is not handled. */
  next: number
  unhandled: number
}

interface Publication {
  readonly publisher: string
  readonly order: number
  /** Newest offset that was acked anywhere before this was published. */
  readonly floor: number
  fate: 'open' | 'refused' | 'unknown' | { readonly epoch: string; readonly offset: number | undefined }
}

export function check(history: readonly HistoryEvent[], final: FinalLog, subscriptions: readonly string[]): Verdict {
  const violations = new Map<Invariant, { count: number; examples: string[] }>()
  const counts = { publish: 0, acked: 0, refused: 0, unknown: 0, start: 0, deliver: 0, handled: 0, gap: 0 }
  const published = new Map<string, Publication>()
  const idAt = new Map<string, string>()
  const subs = new Map<string, Sub>()
  let newestAck = -1

  const violated = (invariant: Invariant, example: string): void => {
    const entry = violations.get(invariant) ?? { count: 0, examples: [] }
    violations.set(invariant, entry)
    entry.count++
    if (entry.examples.length < EXAMPLES) entry.examples.push(example)
  }

  /** Every sighting of a message at an offset must agree with all others. */
  const seen = (epoch: string, offset: number, id: string): void => {
    const place = `${epoch}_${offset}`
    const known = idAt.get(place)
    if (known === undefined) idAt.set(place, id)
    else if (known !== id) violated('two messages at one offset', `${place}: ${known} and ${id}`)
  }

  const acked = ({ id, epoch, offset, duplicate }: Extract<HistoryEvent, { e: 'acked' }>): void => {
    const publication = published.get(id)
    if (!publication) {
      violated('message that nobody published', `${id} was acked`)
      return
    }
    const { fate } = publication
    if (typeof fate === 'object' && fate.offset !== undefined && offset !== undefined && fate.offset !== offset)
      violated('two acks that differ', `${id}: ${fate.offset} and ${offset}`)
    if (fate === 'refused') violated('refused message stored', `${id} was refused, then acked`)
    publication.fate = { epoch, offset }
    if (offset === undefined) return
    seen(epoch, offset, id)
    if (!duplicate && offset <= publication.floor)
      violated(
        'acked before an earlier ack',
        `${id} at ${offset}, though ${publication.floor} was acked before it was published`,
      )
    newestAck = Math.max(newestAck, offset)
  }

  const start = ({ sub, epoch, next, resumed }: Extract<HistoryEvent, { e: 'start' }>): void => {
    const known = subs.get(sub)
    if (known && resumed && known.epoch === epoch && next > known.unhandled)
      violated('resumed past an unhandled message', `${sub} goes on at ${next}, ${known.unhandled} was not handled`)
    subs.set(sub, { epoch, next, unhandled: next })
  }

  const deliver = ({ sub, epoch, offset, id }: Extract<HistoryEvent, { e: 'deliver' }>): void => {
    if (!published.has(id)) violated('message that nobody published', `${id} was delivered`)
    if (published.get(id)?.fate === 'refused') violated('refused message stored', `${id} was delivered`)
    seen(epoch, offset, id)
    const at = subs.get(sub)
    if (!at) {
      violated('delivered out of order or past a hole', `${sub} was never started`)
      return
    }
    if (offset < at.next) violated('delivered twice', `${sub}: ${offset} after ${at.next - 1}`)
    else if (offset > at.next)
      violated('delivered out of order or past a hole', `${sub}: ${offset} instead of ${at.next}`)
    at.epoch = epoch
    at.next = offset + 1
  }

  const gap = ({ sub, epoch, from, to, reason }: Extract<HistoryEvent, { e: 'gap' }>): void => {
    const at = subs.get(sub)
    if (!at || from !== at.next || (reason === 'retention' && to < from))
      violated('gap at the wrong place', `${sub}: ${from} to ${to}, it stood at ${at?.next}`)
    if (reason === 'retention' && to > final.floor)
      violated('gap where nothing is missing', `${sub}: ${from} to ${to}, and ${final.floor} is kept`)
    if (!at) return
    at.epoch = epoch
    at.next = at.unhandled = to
  }

  for (const event of history) {
    counts[event.e]++
    switch (event.e) {
      case 'publish':
        published.set(event.id, { publisher: event.publisher, order: event.order, floor: newestAck, fate: 'open' })
        break
      case 'acked':
        acked(event)
        break
      case 'refused': {
        const publication = published.get(event.id)
        if (publication && typeof publication.fate === 'object')
          violated('refused message stored', `${event.id} was acked, then refused`)
        if (publication) publication.fate = 'refused'
        break
      }
      case 'unknown': {
        const publication = published.get(event.id)
        if (publication) publication.fate = 'unknown'
        break
      }
      case 'start':
        start(event)
        break
      case 'deliver':
        deliver(event)
        break
      case 'handled': {
        const at = subs.get(event.sub)
        if (at) at.unhandled = event.offset + 1
        break
      }
      case 'gap':
        gap(event)
    }
  }

  // The log at the end, against everything that was said.
  const offsetOf = new Map<string, number>()
  const newest = new Map<string, number>()
  let expected = final.messages[0]?.offset
  for (const { offset, id } of final.messages) {
    if (offset !== expected) violated('offsets with a hole', `${offset} instead of ${expected}`)
    expected = offset + 1
    const publication = published.get(id)
    if (!publication) {
      violated('message that nobody published', `${id} is stored`)
      continue
    }
    if (publication.fate === 'refused') violated('refused message stored', `${id} at ${offset}`)
    if (offsetOf.has(id)) violated('message stored twice', `${id} at ${offsetOf.get(id)} and ${offset}`)
    offsetOf.set(id, offset)
    seen(final.epoch, offset, id)
    const last = newest.get(publication.publisher) ?? 0
    if (publication.order < last) violated('publisher order broken', `${id} is behind its ${last}th`)
    newest.set(publication.publisher, publication.order)
  }
  for (const [id, { fate }] of published) {
    if (fate === 'open') violated('never settled', id)
    // Where a repeat is stored may be forgotten; that it is stored may not, and while nothing was trimmed it can be seen.
    if (
      typeof fate === 'object' &&
      fate.offset === undefined &&
      !offsetOf.has(id) &&
      (final.messages[0]?.offset ?? final.head) === 0
    )
      violated('acked message lost', `${id} was acked as a repeat and is not stored`)
    if (
      typeof fate !== 'object' ||
      fate.offset === undefined ||
      fate.epoch !== final.epoch ||
      fate.offset < final.floor
    )
      continue
    if (offsetOf.get(id) !== fate.offset)
      violated(
        'acked message lost',
        `${id} was acked at ${fate.offset}${offsetOf.has(id) ? ` and is at ${offsetOf.get(id)}` : ''}`,
      )
  }
  for (const sub of subscriptions) {
    const at = subs.get(sub)
    if (!at || at.epoch !== final.epoch || at.next !== final.head)
      violated('not delivered in the end', `${sub} stands at ${at?.next}, the log ends at ${final.head}`)
  }
  return { violations, counts }
}
