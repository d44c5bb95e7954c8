import { type MessError, RefusedError } from '../../../packages/sdk/src/client/errors.ts'
import { Walk } from '../../../packages/sdk/src/client/message.ts'
import type { Ack } from '../../../packages/sdk/src/client/receipt.ts'
import { LINE_BREAK } from '../../../packages/sdk/src/protocol/codec.ts'
import { parseCursor } from '../../../packages/sdk/src/protocol/cursor.ts'
import type { Run } from '../../../packages/sdk/src/protocol/frames/deliver.ts'
import type { Chunk } from '../../../packages/sdk/src/store/store.ts'
import { check } from '../../support/checker/check.ts'
import type { FinalLog, HistoryEvent } from '../../support/checker/history.ts'
import type { Verdict } from '../../support/checker/verdict.ts'
import type { Browser } from './browser.ts'
import type { Tab } from './tab.ts'

/** A message, as the world that watches knows it. */
export interface Publication {
  readonly id: string
  readonly tab: Tab
  /** When it was published, and when it was known to be on the disk: places in the history. */
  readonly publishedAt: number
  storedAt: number
  fate: 'open' | 'acked' | 'refused' | 'unknown'
  /** Its client was closed before there was an ack. */
  closed: boolean
  /** Its receipt has said that it is refused. */
  heard: boolean
  /** Its tab has no database any more, and sends it by itself. */
  inMemory: boolean
  readonly event: { publisher: string; readonly digest: string }
}

/** The log of a topic, looked at where it is stored. */
interface StoredLog {
  log(): FinalLog
  epoch(): string
  head(): number
  /** Told of each event. */
  watch(event: HistoryEvent): void
}

/** What happens to one topic: its history, and the judgement on it. */
export class Story {
  readonly name: string
  readonly topic: string
  readonly history: HistoryEvent[] = []
  readonly publications = new Map<string, Publication>()
  /** The next offset that each subscription wants, once it has started. */
  readonly positions = new Map<string, number>()
  readonly #seenAt = new Map<string, number>()
  readonly #orders = new Map<string, number>()
  readonly #stored: StoredLog

  constructor(name: string, topic: string, stored: StoredLog) {
    this.name = name
    this.topic = topic
    this.#stored = stored
  }

  get log(): FinalLog {
    return this.#stored.log()
  }

  get head(): number {
    return this.#stored.head()
  }

  /** @returns how many events there are now */
  record(event: HistoryEvent): number {
    this.#stored.watch(event)
    return this.history.push(event)
  }

  fault(kind: string): void {
    this.record({ e: 'fault', kind })
  }

  // ---- publishing

  published(tab: Tab, { id, publisher, digest }: { id: string; publisher: string; digest: string }): Publication {
    const order = (this.#orders.get(publisher) ?? 0) + 1
    this.#orders.set(publisher, order)
    const event = { e: 'publish' as const, id, publisher, order, digest }
    const publishedAt = this.record(event)
    const publication: Publication = {
      id,
      tab,
      publishedAt,
      storedAt: Number.POSITIVE_INFINITY,
      fate: 'open',
      closed: false,
      heard: false,
      inMemory: false,
      event,
    }
    this.publications.set(id, publication)
    return publication
  }

  stored(publication: Publication, durability: 'disk' | 'memory'): void {
    if (durability === 'disk') publication.storedAt = this.record({ e: 'stored', id: publication.id })
    // It has left the line that it stood in.
    else {
      publication.event.publisher += ' in memory'
      publication.inMemory = true
    }
  }

  acked(publication: Publication, { offset, cursor, duplicate }: Ack): void {
    publication.fate = 'acked'
    this.record({
      e: 'acked',
      id: publication.id,
      epoch: parseCursor(cursor)?.epoch ?? '',
      offset,
      duplicate,
    })
  }

  failed(publication: Publication, error: unknown): void {
    const { code } = error as MessError
    // Its client was closed; what became of the message is seen at the end.
    if (code === 'closed') publication.closed = true
    else if (error instanceof RefusedError) {
      publication.heard = true
      this.setAside(publication.id, error)
    } else if (code === 'store_full') this.#refused(publication)
    else this.#unknown(publication, 'crash')
  }

  /** Told to its publisher, or to who speaks for it. */
  setAside(id: string, error: MessError | undefined): void {
    const publication = this.publications.get(id)
    if (!publication || publication.fate === 'refused' || publication.fate === 'unknown') return
    // Whether it is stored cannot be told where its home has forgotten the publisher.
    if (error?.code === 'publisher_expired' || error?.code === 'sequence_gap') this.#unknown(publication, 'forgotten')
    else this.#refused(publication)
  }

  #refused(publication: Publication): void {
    publication.fate = 'refused'
    this.record({ e: 'refused', id: publication.id })
  }

  /** Nobody is left who hears of what this tab has published. */
  orphan(tab: Tab): void {
    for (const publication of this.publications.values()) {
      const { fate, storedAt } = publication
      if (publication.tab === tab && fate === 'open' && storedAt === Number.POSITIVE_INFINITY)
        this.#unknown(publication, 'crash')
    }
  }

  #unknown(publication: Publication, why: 'crash' | 'forgotten'): void {
    publication.fate = 'unknown'
    this.record({ e: 'unknown', id: publication.id, why })
  }

  // ---- subscribing

  started(sub: string, { epoch, next, resumed }: { epoch: string; next: number; resumed: boolean }): void {
    this.positions.set(sub, next)
    this.record({ e: 'start', sub, epoch, next, resumed })
  }

  delivered(sub: string, message: { id: string; offset: number; cursor: string; data: unknown }): void {
    const { id, offset, cursor, data } = message
    this.positions.set(sub, offset + 1)
    this.#seenAt.set(id, offset)
    const digest = JSON.stringify(data)
    this.record({ e: 'deliver', sub, epoch: parseCursor(cursor)?.epoch ?? '', offset, id, digest })
  }

  handled(sub: string, offset: number): void {
    this.record({ e: 'handled', sub, offset })
  }

  gap(sub: string, gap: { from: number; to: number; reason: string }): void {
    this.positions.set(sub, gap.to)
    this.record({ e: 'gap', sub, epoch: this.#stored.epoch(), ...gap })
  }

  // ---- the end

  /** @param readings what readers see of the log @param live subscriptions that must be at its end */
  judge(readings: readonly FinalLog[], live: readonly string[]): Verdict {
    const log = this.log
    this.#settleOrphans(log)
    const verdict = check(this.history, { logs: [log, ...readings], subscriptions: live })
    this.#order(log, verdict)
    return verdict
  }

  /** Messages whose receipts are gone: those that were on a disk must be in the log; of the others nobody can tell. */
  #settleOrphans({ epoch, messages }: FinalLog): void {
    const offsets = new Map([...this.#seenAt, ...messages.map(({ id, offset }) => [id, offset] as const)])
    const whole = (messages[0]?.offset ?? 0) === 0
    for (const publication of this.publications.values()) {
      const { id, fate, tab, closed, storedAt } = publication
      if (fate !== 'open' || !(tab.dead || closed)) continue
      const offset = offsets.get(id)
      if (offset !== undefined) this.record({ e: 'acked', id, epoch, offset, duplicate: false })
      else if (storedAt === Number.POSITIVE_INFINITY) this.#unknown(publication, 'crash')
      // Trimmed before anybody saw it. That its outbox is empty says that it was acked.
      else if (!whole) this.record({ e: 'acked', id, epoch: '', offset: undefined, duplicate: true })
    }
  }

  /** What was on the disk before another tab of the same browser published comes first in the log. */
  #order({ messages }: FinalLog, verdict: Verdict): void {
    const newest = new Map<Browser, number>()
    for (const { id } of messages) {
      const publication = this.publications.get(id)
      if (!publication || publication.inMemory) continue
      const { browser } = publication.tab
      const later = newest.get(browser) ?? 0
      if (verdict.failed('publisher order broken', publication.storedAt > later))
        verdict.violated(
          'publisher order broken',
          `${id} was on the disk before one that stands before it was published`,
        )
      newest.set(browser, Math.max(later, publication.publishedAt))
    }
  }
}

/** A log as it lies on a disk. Rows are cut off as a whole, so there may be more than is served. */
export function readLog(chunks: readonly Chunk[], { epoch, floor, head }: Omit<FinalLog, 'messages'>): FinalLog {
  const messages = chunks.flatMap(({ first, next, runs, body }) => {
    const received = { first, next, runs: JSON.parse(`[${runs}]`) as Run[], messages: body.split(LINE_BREAK) }
    const found: { offset: number; id: string; digest: string }[] = []
    for (const walk = new Walk(received, { epoch, own: () => false }); !walk.done; walk.next()) {
      const { id, offset, data } = walk.message((raw) => raw as string)
      if (offset >= floor) found.push({ offset, id, digest: data })
    }
    return found
  })
  return { epoch, floor, head, messages }
}
