import type { Ending, FinalLog, HistoryEvent, JobEvent, PublisherEvent, SubscriberEvent } from './history.ts'
import { Leases } from './leases.ts'
import { Verdict } from './verdict.ts'

type Of<E extends HistoryEvent['e']> = Extract<HistoryEvent, { readonly e: E }>

interface Sub {
  epoch: string
  /** The offset that must come next, and the first that is not handled. */
  next: number
  unhandled: number
}

interface Publication {
  readonly publisher: string
  readonly order: number
  readonly digest: string | undefined
  /** Newest offset that was acked anywhere before this was published, and the log that it is of. */
  readonly floor: { readonly epoch: string; readonly offset: number }
  /** Published without the right to. */
  denied: boolean
  /** It was seen to arrive at its home, and never with the right to. */
  turnedAway: boolean | undefined
  onDisk: boolean
  fate: 'open' | 'refused' | 'unknown' | { readonly epoch: string; readonly offset: number | undefined }
}

/** Judges a history against the promises, in one pass and linear time. */
export function check(history: Iterable<HistoryEvent>, ending: Ending): Verdict {
  const checker = new Checker()
  for (const event of history) checker.event(event)
  return checker.end(ending)
}

class Checker {
  readonly #verdict = new Verdict()
  readonly #leases = new Leases(this.#verdict)
  readonly #published = new Map<string, Publication>()
  readonly #idAt = new Map<string, string>()
  readonly #subs = new Map<string, Sub>()
  readonly #revoked = new Set<string>()
  readonly #denied = new Map<string, Publication[]>()
  /** As told by the home; a gap that reaches beyond it hides messages that are kept. */
  #floor: number | undefined
  readonly #gaps: Of<'gap'>[] = []
  #newestAck = { epoch: '', offset: -1 }

  event(event: HistoryEvent): void {
    const { counts, faults } = this.#verdict
    counts.set(event.e, (counts.get(event.e) ?? 0) + 1)
    switch (event.e) {
      case 'publish':
      case 'stored':
      case 'acked':
      case 'refused':
      case 'unknown':
      case 'denied':
      case 'allowed':
      case 'arrived':
        this.#publisher(event)
        return
      case 'start':
      case 'deliver':
      case 'handled':
      case 'gap':
      case 'served':
      case 'revoked':
      case 'granted':
        this.#subscriber(event)
        return
      case 'trimmed':
        this.#floor = event.floor
        return
      case 'sample':
        this.#sample(event)
        return
      case 'looked':
        if (this.#fails(event.at, event.holds)) this.#verdict.violated(event.at, event.example ?? '')
        return
      case 'fault':
        faults.set(event.kind, (faults.get(event.kind) ?? 0) + 1)
        return
      case 'rested':
        if (this.#fails('did not come to rest', event.ms <= event.limitMs))
          this.#verdict.violated('did not come to rest', `after ${event.ms} ms`)
        return
      default:
        this.#leases.event(event satisfies JobEvent)
    }
  }

  end({ logs, subscriptions, jobs }: Ending): Verdict {
    const [log, ...others] = logs
    for (const other of others) this.#compare(log, other)
    const offsets = this.#stored(log)
    this.#fates(log, offsets)
    this.#delivered(log, subscriptions)
    for (const gap of this.#gaps) this.#gapWasNeeded(gap, log.floor)
    this.#leases.end(jobs ?? new Set())
    const { counts } = this.#verdict
    this.#verdict.histories = 1
    this.#verdict.invalid = (counts.get('acked') ?? 0) * 2 < (counts.get('publish') ?? 0) ? 1 : 0
    return this.#verdict
  }

  #fails(...check: Parameters<Verdict['failed']>): boolean {
    return this.#verdict.failed(...check)
  }

  // ---- publishers

  #publisher(event: PublisherEvent): void {
    if (event.e === 'denied') this.#denied.set(event.publisher, this.#denied.get(event.publisher) ?? [])
    else if (event.e === 'allowed') {
      for (const publication of this.#denied.get(event.publisher) ?? []) publication.denied = false
      this.#denied.delete(event.publisher)
    } else if (event.e === 'publish') {
      const { id, publisher, order, digest } = event
      const deniedOnes = this.#denied.get(publisher)
      const publication: Publication = {
        publisher,
        order,
        digest,
        floor: this.#newestAck,
        denied: deniedOnes !== undefined,
        turnedAway: undefined,
        onDisk: false,
        fate: 'open',
      }
      deniedOnes?.push(publication)
      this.#published.set(id, publication)
    } else {
      const publication = this.#known(event.id, event.e)
      if (!publication) return
      if (event.e === 'stored') publication.onDisk = true
      else if (event.e === 'arrived') publication.turnedAway = !event.may && publication.turnedAway !== false
      else if (event.e === 'acked') this.#acked(publication, event)
      else if (event.e === 'refused') {
        if (this.#fails('refused message stored', typeof publication.fate !== 'object'))
          this.#verdict.violated('refused message stored', `${event.id} was acked, then refused`)
        publication.fate = 'refused'
      } else {
        if (this.#fails('stored on disk and forgotten', event.why === 'forgotten' || !publication.onDisk))
          this.#verdict.violated('stored on disk and forgotten', event.id)
        publication.fate = 'unknown'
      }
    }
  }

  #acked(publication: Publication, { id, epoch, offset, duplicate }: Of<'acked'>): void {
    const { fate, floor } = publication
    if (typeof fate === 'object' && fate.offset !== undefined && offset !== undefined) {
      if (this.#fails('two acks that differ', fate.offset === offset))
        this.#verdict.violated('two acks that differ', `${id}: ${fate.offset} and ${offset}`)
    }
    if (fate === 'refused') this.#verdict.violated('refused message stored', `${id} was refused, then acked`)
    publication.fate = { epoch, offset }
    this.#hadTheRight(id, publication, 'was acked')
    if (offset === undefined) return
    this.#seen(epoch, offset, id)
    // A log that was made anew counts from 0 again.
    if (!duplicate && this.#fails('stored before an earlier ack', floor.epoch !== epoch || offset > floor.offset))
      this.#verdict.violated(
        'stored before an earlier ack',
        `${id} at ${offset}, though ${floor.offset} was acked before it was published`,
      )
    const newest = this.#newestAck
    if (newest.epoch !== epoch || newest.offset < offset) this.#newestAck = { epoch, offset }
  }

  #hadTheRight(id: string, { denied, turnedAway }: Publication, what: string): void {
    if (this.#fails('stored without the right to', !denied && turnedAway !== true))
      this.#verdict.violated('stored without the right to', `${id} ${what}`)
  }

  #known(id: string, what: string): Publication | undefined {
    const publication = this.#published.get(id)
    if (this.#fails('message that nobody published', publication !== undefined))
      this.#verdict.violated('message that nobody published', `${id} was ${what}`)
    return publication
  }

  /** Every sighting of a message at an offset must agree with all others. */
  #seen(epoch: string, offset: number, id: string): void {
    const place = `${epoch}_${offset}`
    const known = this.#idAt.get(place)
    if (known === undefined) this.#idAt.set(place, id)
    else if (this.#fails('two messages at one offset', known === id))
      this.#verdict.violated('two messages at one offset', `${place}: ${known} and ${id}`)
  }

  /** What is found must be what was published, to the byte. */
  #same(id: string, publication: Publication, digest: string | undefined, where: string): void {
    if (digest === undefined || publication.digest === undefined) return
    if (this.#fails('message with other bytes', digest === publication.digest))
      this.#verdict.violated('message with other bytes', `${id} ${where}`)
  }

  // ---- subscribers

  #subscriber(event: SubscriberEvent): void {
    switch (event.e) {
      case 'start':
        this.#start(event)
        return
      case 'deliver':
        this.#deliver(event)
        return
      case 'handled': {
        const at = this.#subs.get(event.sub)
        // What was handled once stays handled, also where it comes again.
        if (at) at.unhandled = Math.max(at.unhandled, event.offset + 1)
        return
      }
      case 'gap':
        this.#gap(event)
        return
      case 'served':
        if (this.#fails('served after the right was gone', !this.#revoked.has(event.sub)))
          this.#verdict.violated('served after the right was gone', event.sub)
        return
      case 'revoked':
        this.#revoked.add(event.sub)
        return
      case 'granted':
        this.#revoked.delete(event.sub)
    }
  }

  #start({ sub, epoch, next, resumed }: Of<'start'>): void {
    const known = this.#subs.get(sub)
    const goesOn = known !== undefined && resumed && known.epoch === epoch
    if (goesOn) {
      if (this.#fails('resumed past an unhandled message', next <= known.unhandled))
        this.#verdict.violated(
          'resumed past an unhandled message',
          `${sub} goes on at ${next}, ${known.unhandled} was not handled`,
        )
    }
    // A position that was not written down in time is behind what was handled.
    this.#subs.set(sub, { epoch, next, unhandled: goesOn ? Math.max(next, known.unhandled) : next })
  }

  #deliver({ sub, epoch, offset, id, digest }: Of<'deliver'>): void {
    const publication = this.#known(id, 'delivered')
    if (publication) {
      this.#same(id, publication, digest, `as ${sub} got it`)
      if (this.#fails('refused message stored', publication.fate !== 'refused'))
        this.#verdict.violated('refused message stored', `${id} was delivered`)
    }
    this.#seen(epoch, offset, id)
    const at = this.#subs.get(sub)
    if (this.#fails('delivered past a hole', at !== undefined && offset <= at.next))
      this.#verdict.violated('delivered past a hole', `${sub}: ${offset} instead of ${at?.next ?? 'nothing'}`)
    if (!at) return
    if (this.#fails('delivered twice', offset >= at.next))
      this.#verdict.violated('delivered twice', `${sub}: ${offset} after ${at.next - 1}`)
    at.epoch = epoch
    at.next = offset + 1
  }

  #gap(gap: Of<'gap'>): void {
    const { sub, epoch, from, to, reason } = gap
    const at = this.#subs.get(sub)
    const placed = at !== undefined && from === at.next && (reason !== 'retention' || to > from)
    if (this.#fails('gap at the wrong place', placed))
      this.#verdict.violated('gap at the wrong place', `${sub}: ${from} to ${to}, it stood at ${at?.next}`)
    if (this.#floor !== undefined) this.#gapWasNeeded(gap, this.#floor)
    else this.#gaps.push(gap)
    if (!at) return
    at.epoch = epoch
    at.next = to
    at.unhandled = Math.max(at.unhandled, to)
  }

  #gapWasNeeded({ sub, from, to, reason }: Of<'gap'>, floor: number): void {
    if (reason !== 'retention') return
    if (this.#fails('gap where nothing is missing', to <= floor))
      this.#verdict.violated('gap where nothing is missing', `${sub}: ${from} to ${to}, and ${floor} is kept`)
  }

  // ---- the rest

  #sample({ bound, value, limit }: Of<'sample'>): void {
    if (this.#fails('bound exceeded', value <= limit))
      this.#verdict.violated('bound exceeded', `${bound}: ${value} of ${limit}`)
  }

  #compare(one: FinalLog, other: FinalLog): void {
    const text = ({ epoch, head, messages }: FinalLog): string =>
      JSON.stringify([epoch, head, messages.map(({ offset, id }) => [offset, id])])
    if (this.#fails('readings of the log differ', text(one) === text(other)))
      this.#verdict.violated(
        'readings of the log differ',
        `${one.epoch}: ${one.messages.length} messages to ${one.head}, and ${other.epoch}: ${other.messages.length} to ${other.head}`,
      )
  }

  /** The log by itself, and against what was published. @returns where each message is */
  #stored({ epoch, messages }: FinalLog): Map<string, number> {
    const offsets = new Map<string, number>()
    const newest = new Map<string, number>()
    let expected = messages[0]?.offset
    for (const { offset, id, digest } of messages) {
      if (this.#fails('offsets with a hole', offset === expected))
        this.#verdict.violated('offsets with a hole', `${offset} instead of ${expected}`)
      expected = offset + 1
      const publication = this.#known(id, 'stored at its home')
      if (!publication) continue
      const { publisher, order, fate } = publication
      if (this.#fails('refused message stored', fate !== 'refused'))
        this.#verdict.violated('refused message stored', `${id} at ${offset}`)
      this.#hadTheRight(id, publication, `is at ${offset}`)
      if (this.#fails('message stored twice', !offsets.has(id)))
        this.#verdict.violated('message stored twice', `${id} at ${offsets.get(id)} and ${offset}`)
      offsets.set(id, offset)
      this.#seen(epoch, offset, id)
      this.#same(id, publication, digest, `as it is stored at ${offset}`)
      const last = newest.get(publisher) ?? 0
      if (this.#fails('publisher order broken', order >= last))
        this.#verdict.violated('publisher order broken', `${id} is behind its ${last}th`)
      newest.set(publisher, order)
    }
    return offsets
  }

  #fates({ epoch, floor, head, messages }: FinalLog, offsets: ReadonlyMap<string, number>): void {
    const kept = [...offsets.values()]
    const [first = head, last = -1] = [kept[0], kept.at(-1)]
    const whole = (messages[0]?.offset ?? head) === 0
    for (const [id, { fate }] of this.#published) {
      if (this.#fails('never settled', fate !== 'open')) this.#verdict.violated('never settled', id)
      if (typeof fate !== 'object') continue
      const { offset } = fate
      if (offset === undefined) {
        // Where a repeat is stored may be forgotten; that it is stored may not, and while nothing was trimmed it can be seen.
        if (whole && (fate.epoch === epoch || fate.epoch === '') && this.#fails('acked message lost', offsets.has(id)))
          this.#lost(id, 'as a repeat', 'middle')
      } else if (fate.epoch === epoch && offset >= floor) {
        if (this.#fails('acked message lost', offsets.get(id) === offset))
          this.#lost(
            id,
            `at ${offset}${offsets.has(id) ? ` and is at ${offsets.get(id)}` : ''}`,
            offset < first ? 'prefix' : offset > last ? 'postfix' : 'middle',
          )
      }
    }
  }

  #lost(id: string, as: string, place: keyof Verdict['lost']): void {
    this.#verdict.lost[place]++
    this.#verdict.violated('acked message lost', `${id} was acked ${as}`)
  }

  #delivered({ epoch, head }: FinalLog, subscriptions: readonly string[]): void {
    for (const sub of subscriptions) {
      const at = this.#subs.get(sub)
      if (this.#fails('not delivered in the end', at?.epoch === epoch && at.next === head))
        this.#verdict.violated('not delivered in the end', `${sub} stands at ${at?.next}, the log ends at ${head}`)
    }
  }
}
