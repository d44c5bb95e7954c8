import { encodeDeliver, type Range } from '../protocol/answers.ts'
import { encodeNotification } from '../protocol/codec.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Chunk } from '../store/store.ts'
import type { Credit, LogEffect, SubscriptionState } from './machine.ts'
import { cut, join } from './range.ts'
import type { Allowed } from './rights.ts'

/**
 * Who follows the log, and how far they are.
 *
 *     live ──(a commit finds no credit)──▶ behind ──(credit)──▶ reading ──(reaches the end)──▶ live
 *
 * A live subscription gets each commit as it becomes durable, all of one number the same text. One that is behind holds nothing in
 * memory: it continues from the store, a page at a time, whenever it has credit. Replay and catching up are the same path.
 *
 * Credit is a byte position of the log, so a live subscription needs no account of its own: the log's end is its position.
 */
interface Subscription {
  readonly link: number
  readonly id: number
  next: number
  live: boolean
  credit: Credit
  /** Byte position of `next` while it is behind, once a chunk or a commit has told it. */
  at: number | undefined
  /** Byte position up to which it gave credit back, or where it started. What was sent behind it may lie in the socket still. */
  handled: number | undefined
  /** The read that is under way for it. */
  reader: number | undefined
}

/** What a page led to. `resting`: no other page follows it. */
interface Paged {
  readonly effects: LogEffect[]
  readonly link: number
  readonly resting: boolean
}

export class Subscriptions {
  readonly #links = new Map<number, Map<number, Subscription>>()
  readonly #live = new Map<number, Set<Subscription>>()
  readonly #readers = new Map<number, Subscription>()
  /** Durable end of the log, as offset and as byte position. */
  #head: number
  #bytes: number
  readonly #nextReader: () => number

  constructor(end: { head: number; bytes: number }, nextReader: () => number) {
    this.#head = end.head
    this.#bytes = end.bytes
    this.#nextReader = nextReader
  }

  get head(): number {
    return this.#head
  }

  has(link: number, id: number): boolean {
    return this.#links.get(link)?.has(id) ?? false
  }

  count(link: number): number {
    return this.#links.get(link)?.size ?? 0
  }

  states(link: number): SubscriptionState[] {
    return [...(this.#links.get(link)?.values() ?? [])].map((subscription) => this.#state(subscription))
  }

  #state({ id, next, live, credit, at }: Subscription): SubscriptionState {
    return { id, next: live ? this.#head : next, live, credit, ...(at !== undefined && { at }) }
  }

  add(
    _: Allowed<'subscribe'>,
    link: number,
    { id, next, window }: { id: number; next: number; window: number },
  ): LogEffect[] {
    const live = next === this.#head
    const credit = live ? { through: this.#bytes + window } : { window }
    const subscription = this.#insert(link, { id, next, live, credit })
    return this.#advance(subscription)
  }

  /** A link that outlived the log's memory comes back. */
  restore(_: Allowed<'subscribe'>, link: number, state: SubscriptionState): LogEffect[] {
    const subscription = this.#insert(link, state)
    if (!subscription.live || state.next === this.#head) return this.#advance(subscription)
    // The end moved on since this was written. It has been told, unless memory was lost between commit and fan-out: an empty range
    // at the end shows the client whether it misses something.
    return [sendTo(subscription, { first: this.#head, next: this.#head, runs: '', body: '' }, this.#bytes)]
  }

  #insert(link: number, { id, next, live, credit, at }: SubscriptionState): Subscription {
    const subscription: Subscription = {
      link,
      id,
      next,
      live: false,
      credit,
      at,
      handled: undefined,
      reader: undefined,
    }
    const ofLink = this.#links.get(link) ?? new Map<number, Subscription>()
    this.#links.set(link, ofLink.set(id, subscription))
    if (live) this.#follow(subscription)
    return subscription
  }

  /** @returns how many bytes it was sent that it gave no credit back for; `undefined` if there is no such subscription */
  remove(link: number, id: number): number | undefined {
    const ofLink = this.#links.get(link)
    const subscription = ofLink?.get(id)
    if (!ofLink || !subscription) return undefined
    const unhandled = this.#unhandled(subscription)
    ofLink.delete(id)
    this.#unfollow(subscription)
    if (subscription.reader !== undefined) this.#readers.delete(subscription.reader)
    if (ofLink.size === 0) this.#links.delete(link)
    return unhandled
  }

  #unhandled({ live, at, handled }: Subscription): number {
    const sent = live ? this.#bytes : at
    return sent === undefined || handled === undefined ? 0 : Math.max(0, sent - handled)
  }

  removeLink(link: number): void {
    for (const id of [...(this.#links.get(link)?.keys() ?? [])]) this.remove(link, id)
  }

  grant(link: number, id: number, through: number): LogEffect[] {
    const subscription = this.#links.get(link)?.get(id)
    if (!subscription) return []
    // Nobody has handled what was not sent, so no honest grant reaches further; a dishonest one would make the socket the buffer.
    // One that goes on inside a row that was made longer stands further than at the row's start, from where it is counted here.
    const { live, at } = subscription
    const sent = live || at === undefined ? this.#bytes : at + LIMITS.tailBytes
    const granted = Math.min(through, sent + LIMITS.creditBytes)
    // A grant never takes back; an older one that comes late changes nothing.
    if ('through' in subscription.credit && granted <= subscription.credit.through) return []
    subscription.credit = { through: granted }
    if (subscription.handled !== undefined)
      subscription.handled = Math.max(subscription.handled, granted - LIMITS.creditBytes)
    return this.#advance(subscription)
  }

  /** A commit became durable: everybody who follows and has credit gets it, the others are behind from here on. */
  append(chunks: readonly Chunk[]): { effects: LogEffect[]; fellBehind: Set<number> } {
    const effects: LogEffect[] = []
    const fellBehind = new Set<number>()
    for (const chunk of chunks) {
      for (const [id, subscriptions] of this.#live) {
        const links: number[] = []
        for (const subscription of subscriptions) {
          if (hasCredit(subscription.credit, chunk.start)) links.push(subscription.link)
          else {
            this.#unfollow(subscription)
            subscription.next = chunk.first
            subscription.at = chunk.start
            fellBehind.add(subscription.link)
          }
        }
        if (links.length > 0)
          effects.push({ name: 'send', links, text: encodeDeliver(id, chunk, chunk.start + chunk.size) })
      }
      this.#head = chunk.next
      this.#bytes = chunk.start + chunk.size
    }
    return { effects, fellBehind }
  }

  reads(reader: number): boolean {
    return this.#readers.has(reader)
  }

  /** A page for a subscription that is behind; `floor` is the first offset that is still served. */
  page(reader: number, chunks: readonly Chunk[], floor: number): Paged {
    const subscription = this.#readers.get(reader) as Subscription
    this.#readers.delete(reader)
    subscription.reader = undefined
    const from = Math.max(subscription.next, floor)
    // A store may show what is committed and not durable yet, rows that were made longer among it: nobody sees that.
    const visible = from < this.#head ? chunks.filter(({ first, next }) => next > from && first < this.#head) : []
    const [oldest] = visible
    // All of the page was trimmed while it was read.
    if (!oldest && from < this.#head) return paged(subscription, this.#read(subscription, from))
    const here = oldest?.start ?? this.#bytes
    const effects: LogEffect[] = []
    if (from > subscription.next) effects.push(this.#skip(subscription, from, here))
    subscription.at ??= here
    const { at } = subscription
    subscription.handled ??= at
    if ('window' in subscription.credit) subscription.credit = { through: at + subscription.credit.window }
    if (subscription.next < this.#head && !hasCredit(subscription.credit, at)) return paged(subscription, effects)
    const newest = visible.at(-1)
    if (newest) {
      const range = join(visible.map((chunk) => cut(chunk, from, this.#head)))
      subscription.next = range.next
      subscription.at = range.next === this.#head ? this.#bytes : newest.start + newest.size
      effects.push(sendTo(subscription, range, subscription.at))
    }
    if (subscription.next >= this.#head) this.#follow(subscription)
    return paged(subscription, [...effects, ...this.#advance(subscription)])
  }

  /** A gap needs no credit, and its reader gives back what was skipped as it gives back messages: by the position behind it. */
  #skip(subscription: Subscription, to: number, through: number): LogEffect {
    const { id, link, next: from } = subscription
    subscription.next = to
    subscription.at = through
    subscription.handled = through
    return {
      name: 'send',
      links: [link],
      text: encodeNotification('gap', { subscription: id, from, to, through, reason: 'retention' }),
    }
  }

  /** One that is behind reads on while it has credit; where its position is not known yet, the page will tell. */
  #advance(subscription: Subscription): LogEffect[] {
    const { live, reader: busy, credit, at, next } = subscription
    if (live || busy !== undefined || (at !== undefined && !hasCredit(credit, at))) return []
    return this.#read(subscription, next)
  }

  #read(subscription: Subscription, offset: number): LogEffect[] {
    const reader = this.#nextReader()
    subscription.reader = reader
    this.#readers.set(reader, subscription)
    return [{ name: 'read', reader, direction: 'on', offset, maxBytes: LIMITS.pageBytes }]
  }

  #follow(subscription: Subscription): void {
    subscription.live = true
    subscription.at = undefined
    subscription.handled ??= this.#bytes
    if ('window' in subscription.credit) subscription.credit = { through: this.#bytes + subscription.credit.window }
    const followers = this.#live.get(subscription.id) ?? new Set<Subscription>()
    this.#live.set(subscription.id, followers.add(subscription))
  }

  #unfollow(subscription: Subscription): void {
    subscription.live = false
    const followers = this.#live.get(subscription.id)
    followers?.delete(subscription)
    if (followers?.size === 0) this.#live.delete(subscription.id)
  }
}

/** An overdraft of one frame is allowed: what starts below the position granted is sent whole. */
function hasCredit(credit: Credit, at: number): boolean {
  return 'window' in credit ? credit.window > 0 : at < credit.through
}

function paged({ link, reader }: Subscription, effects: LogEffect[]): Paged {
  return { effects, link, resting: reader === undefined }
}

function sendTo({ link, id }: Subscription, range: Range, through: number): LogEffect {
  return { name: 'send', links: [link], text: encodeDeliver(id, range, through) }
}
