import { LINE_BREAK } from '../protocol/codec.ts'
import type { IndexedDBOutbox } from '../store/indexeddb-outbox.ts'
import type { AckRange, Refusal, RefusedMessage, Row } from '../store/indexeddb-rows.ts'
import { entryOf } from './durable-errors.ts'
import type { MessError } from './errors.ts'
import type { OwnWatcher } from './outbox.ts'
import { Pump } from './pump.ts'

/**
 * Those who watch own messages, by topic. In an outbox that several tabs share, what another tab did is looked up in the database.
 * Only who shows something loads this.
 */
export class Watching {
  readonly #topics = new Map<string, Set<OwnWatcher>>()
  readonly #store: () => IndexedDBOutbox | undefined
  readonly #looker = new Pump(() => this.#look())
  /** Topics that have news. */
  readonly #news = new Set<string>()
  /** By topic: how far it was read, of which publisher. */
  readonly #read = new Map<string, { publisher: string; next: number }>()
  #aside = false
  /** Somebody has to be told of all that is set aside. */
  #again = false
  readonly #refused = new Map<string, string>()

  /** @param store the database, as long as there is one */
  constructor(store: () => IndexedDBOutbox | undefined) {
    this.#store = store
  }

  watch(topic: string, watcher: OwnWatcher): () => void {
    // Whoever comes later is told all of it; the others hear it again.
    this.#read.delete(topic)
    this.#aside = this.#again = true
    const watchers = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, watchers.add(watcher))
    return () => {
      watchers.delete(watcher)
      if (watchers.size === 0 && this.#topics.get(topic) === watchers) this.#topics.delete(topic)
    }
  }

  /** Whom to tell of a topic; nobody, as a rule. */
  tell(topic: string): OwnWatcher | undefined {
    const watchers = this.#topics.get(topic)
    return watchers && together(watchers)
  }

  look(topics: readonly string[]): void {
    for (const topic of topics) if (this.#topics.has(topic)) this.#news.add(topic)
    if (this.#news.size > 0) void this.#looker.run()
  }

  lookAside(): void {
    if (this.#topics.size === 0) return
    this.#aside = true
    void this.#looker.run()
  }

  acked(acks: readonly AckRange[]): void {
    if (this.#topics.size === 0) return
    for (const { origin, number, count, offset } of acks)
      for (let i = 0; i < count; i++)
        for (const topic of this.#topics.keys())
          this.tell(topic)?.acked(`${origin}-${number + i}`, offset === undefined ? undefined : offset + i)
  }

  refused(refusals: readonly Refusal[]): void {
    for (const refusal of refusals) {
      if (!this.#topics.has(refusal.topic)) continue
      this.tell(refusal.topic)?.refused(refusal.id, entryOf(refusal).error as MessError)
      // Who has not read its row yet finds it among those set aside.
      this.lookAside()
    }
  }

  async #look(): Promise<void> {
    const store = this.#store()
    if (!store) return
    try {
      for (const topic of [...this.#news]) {
        this.#news.delete(topic)
        await this.#readRows(store, topic)
      }
      if (this.#aside) await this.#readAside(store)
    } catch {
      // Whoever watches sees it with the next news; what is in the outbox is not touched by it.
    }
  }

  async #readRows(store: IndexedDBOutbox, topic: string): Promise<void> {
    const { next } = this.#read.get(topic) ?? { next: 0 }
    const { rows, counters } = await store.read(topic, next)
    const { publisher = '', settled = 0 } = counters[0] ?? {}
    // Another publisher counts from the beginning.
    const known = this.#read.get(topic)
    this.#read.set(topic, { publisher, next: behind(rows) ?? next })
    if (known && known.publisher !== publisher) {
      this.#read.delete(topic)
      this.#news.add(topic)
      return this.look([topic])
    }
    for (const { first, origin, number, keys, body } of rows) {
      body.split(LINE_BREAK).forEach((line, i) => {
        if (first + i > settled) this.tell(topic)?.added(`${origin}-${number + i}`, line, keys?.[i] ?? undefined)
      })
    }
  }

  async #readAside(store: IndexedDBOutbox): Promise<void> {
    const again = this.#again
    this.#aside = this.#again = false
    const refused = (await store.refused()) as RefusedMessage[]
    const there = new Set(refused.map(({ id }) => id))
    for (const [id, topic] of [...this.#refused]) {
      if (there.has(id)) continue
      this.#refused.delete(id)
      this.tell(topic)?.forgotten(id)
    }
    for (const message of refused) {
      if (!this.#topics.has(message.topic) || (this.#refused.has(message.id) && !again)) continue
      this.#refused.set(message.id, message.topic)
      this.tell(message.topic)?.added(message.id, message.line, message.key ?? undefined)
      this.tell(message.topic)?.refused(message.id, entryOf(message).error as MessError)
    }
  }
}

function together(watchers: ReadonlySet<OwnWatcher>): OwnWatcher {
  const all = (tell: (watcher: OwnWatcher) => void): void => {
    for (const watcher of [...watchers]) tell(watcher)
  }
  return {
    added: (id, line, key) => all((watcher) => watcher.added(id, line, key)),
    acked: (id, offset) => all((watcher) => watcher.acked(id, offset)),
    refused: (id, error) => all((watcher) => watcher.refused(id, error)),
    forgotten: (id) => all((watcher) => watcher.forgotten(id)),
  }
}

/** The sequence behind the last row. */
function behind(rows: readonly Row[]): number | undefined {
  const last = rows.at(-1)
  return last && last.first + last.count
}
