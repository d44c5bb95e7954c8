import { randomName } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import { LINE_BREAK } from '../protocol/codec.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'
import { ask, type Database, keysOf, type Stores } from './indexeddb-database.ts'
import {
  type AckRange,
  type Counter,
  covers,
  type Decided,
  isNewer,
  known,
  type Refusal,
  type RefusedMessage,
  type Row,
  rowsIn,
  slice,
} from './indexeddb-rows.ts'
import { StoreConflict } from './store.ts'

export type Addition = Pick<Row, 'topic' | 'origin' | 'number' | 'keys'> & { readonly lines: readonly string[] }

/** Everything that moved in one topic since the last settlement. */
export interface Settlement extends Pick<Counter, 'topic' | 'publisher' | 'settled'> {
  /** Rows that begin before this sequence are settled as a whole. */
  readonly below: number
  readonly acks: readonly AckRange[]
}

/** A message that somebody waits for, and what the database knows of it. */
export interface Sought extends Pick<Row, 'topic' | 'origin' | 'number'> {
  readonly id: string
}
export type Found = 'waiting' | 'lost' | AckRange | Refusal

/**
 * The outbox of one user in one browser, as all tabs share it. Every step is one transaction, so that a tab can die between any
 * two of them.
 */
export class IndexedDBOutbox {
  readonly #database: Database
  /** Of the leader that this is; what one of a lower term still wants to write is out of date. */
  term = 0
  /** Begins the name of every publisher of this outbox. */
  #id = ''

  constructor(database: Database) {
    this.#database = database
  }

  open(): Promise<void> {
    return this.#database.write(['meta'], 'relaxed', async ({ meta }) => {
      const id = await ask<string | undefined>(meta.get('outbox'))
      this.#id = id ?? randomName(12)
      // By the first tab alone: where there is no room any more, the others still join it, and send what is here.
      if (id === undefined) meta.put(this.#id, 'outbox')
    })
  }

  owns(publisher: string): boolean {
    return this.#id !== '' && publisher.startsWith(this.#id)
  }

  /** Gives sequences to new messages. Answers with their rows, or none if it must be read where they stand. */
  add(additions: readonly Addition[]): Promise<Row[]> {
    return this.#database.write(['topics', 'outbox', 'acks', 'refused'], 'strict', async (stores, again) => {
      if (again && additions[0] && (await isKnown(stores, additions[0], additions[0].topic))) return []
      const rows: Row[] = []
      for (const addition of additions) rows.push(...(await this.#place(stores, addition)))
      return rows
    })
  }

  async #place({ topics, outbox }: Stores, { topic, origin, number, keys, lines }: Addition): Promise<Row[]> {
    const counter = known<Counter>(await ask(topics.get(topic))) ?? this.#newCounter(topic)
    const rows: Row[] = []
    let { next } = counter
    for (let from = 0; from < lines.length; ) {
      let to = from
      for (
        let chars = 0;
        to < lines.length &&
        to - from < CLIENT_LIMITS.messagesPerFrame &&
        (to === from || chars < CLIENT_LIMITS.rowBytes);
        to++
      )
        chars += (lines[to] as string).length
      const body = lines.slice(from, to).join(LINE_BREAK)
      const row: Row = {
        v: 1,
        topic,
        publisher: counter.publisher,
        first: next,
        count: to - from,
        origin,
        number: number + from,
        keys: keys?.slice(from, to),
        body,
      }
      outbox.put(row, [topic, next])
      rows.push(row)
      next += to - from
      from = to
    }
    topics.put({ ...counter, next }, topic)
    return rows
  }

  #newCounter(topic: string): Counter {
    return { v: 1, topic, publisher: this.#id + randomName(12), next: 1, settled: 0 }
  }

  /** Counters and rows of all topics, or of one from a sequence on. */
  read(topic?: string, from?: number): Promise<{ counters: readonly Counter[]; rows: readonly Row[] }> {
    return this.#database.read(['topics', 'outbox'], async ({ topics, outbox }) => {
      const counters = await ask<Counter[]>(topics.getAll(topic))
      const rows = await rowsIn(outbox, topic, from)
      const newer = [...counters, ...rows].filter(isNewer).map(({ topic }) => topic)
      // A topic that a newer build has written to is left to it; the others go on.
      const ours = ({ topic }: Counter | Row): boolean => !newer.includes(topic)
      return { counters: counters.filter(ours), rows: rows.filter(ours) }
    })
  }

  counters(): Promise<Counter[]> {
    return this.#database.read(['topics'], ({ topics }) => ask(topics.getAll()))
  }

  /**
   * Deletes what is done with. May be late or left out: it would be sent again and recognised.
   * @throws {StoreConflict} as setting aside does, if there is a later leader; nothing was written
   */
  async settle(settlements: readonly Settlement[]): Promise<void> {
    await this.#database.write(
      ['meta', 'topics', 'outbox', 'acks'],
      'relaxed',
      async ({ meta, topics, outbox, acks }) => {
        await fence(meta, this.term)
        for (const { topic, publisher, settled, below, acks: newest } of settlements) {
          const counter = known<Counter>(await ask(topics.get(topic)))
          if (counter?.publisher !== publisher) continue
          topics.put({ ...counter, settled: Math.max(settled, counter.settled) }, topic)
          outbox.delete(keysOf(topic, undefined, below))
          const ring: AckRange[] = (await ask(acks.get(topic))) ?? []
          acks.put([...ring, ...newest].slice(-CLIENT_LIMITS.outboxAcks), topic)
        }
      },
    )
  }

  /**
   * Sets messages aside; those around them stay. With `forgotten` the home does not know the publisher any more: then all that is
   * not settled goes, and another publisher begins.
   */
  setAside(topic: string, publisher: string, refused: readonly Refused[], forgotten: boolean): Promise<Refusal[]> {
    // Whoever leads again since then has read anew what is to do.
    const { term } = this
    return this.#database.write(['meta', 'topics', 'outbox', 'refused'], 'strict', async (stores) => {
      const refusals: Refusal[] = []
      await fence(stores.meta, term)
      const counter = known<Counter>(await ask(stores.topics.get(topic)))
      if (counter?.publisher !== publisher) return refusals
      for (const { first, count, code, message } of refused) {
        for (const row of await rowsIn(stores.outbox, topic, undefined, first + count)) {
          const taken = slice(row, Math.max(first, forgotten ? counter.settled + 1 : 0), first + count)
          if (!taken) continue
          stores.outbox.delete([topic, row.first])
          for (const rest of [slice(row, 0, first), slice(row, first + count)]) {
            if (rest) stores.outbox.put(rest, [topic, rest.first])
          }
          refusals.push(...keepRefused(stores.refused, taken, code, message))
        }
      }
      if (forgotten) {
        stores.outbox.delete(keysOf(topic))
        stores.topics.put(this.#newCounter(topic), topic)
      }
      return refusals
    })
  }

  /** Back among the waiting ones, behind them and as a new message; `undefined` if it is not set aside (any more). */
  retry(id: string, origin: string): Promise<Row[] | undefined> {
    return this.#database.write(['topics', 'outbox', 'acks', 'refused'], 'strict', async (stores, again) => {
      const refused = known<RefusedMessage>(await ask(stores.refused.get(id)))
      if (!refused) {
        if (!again) return undefined
        const placed = (await rowsIn(stores.outbox)).filter((row) => covers(row, origin, 1))
        return placed[0] || (await isKnown(stores, { origin, number: 1 })) ? placed : undefined
      }
      await decided(stores, refused)
      const { topic, line, key } = refused
      return this.#place(stores, { topic, origin, number: 1, keys: [key], lines: [line] })
    })
  }

  /** @returns whether it was set aside */
  discard(id: string): Promise<boolean> {
    return this.#database.write(['acks', 'refused'], 'relaxed', async (stores) => {
      const found = await ask<RefusedMessage | undefined>(stores.refused.get(id))
      if (found) await decided(stores, found)
      return found !== undefined
    })
  }

  refused(): Promise<Refusal[]> {
    return this.#database.read(['refused'], ({ refused }) => ask(refused.getAll()))
  }

  countRefused(): Promise<number> {
    return this.#database.read(['refused'], ({ refused }) => ask(refused.count()))
  }

  /** What became of messages whose fate this tab may have missed: those of one topic stand together. An ack may cover more than one. */
  find(sought: readonly Sought[]): Promise<Found[]> {
    const stores = ['meta', 'topics', 'outbox', 'acks', 'refused'] as const
    return this.#database.read(stores, async ({ meta, topics, outbox, acks, refused }) => {
      // Where somebody has emptied the database, a row that is gone proves nothing.
      const whole = (await ask(meta.get('outbox'))) === this.#id
      const found: Found[] = []
      let rows: Row[] = []
      let ring: (AckRange | Decided)[] = []
      let settled = 0
      let read: string | undefined
      for (const { topic, id, origin, number } of sought) {
        if (topic !== read) {
          rows = await rowsIn(outbox, topic)
          settled = (await ask<Counter | undefined>(topics.get(topic)))?.settled ?? 0
          ring = (await ask<typeof ring | undefined>(acks.get(topic))) ?? []
          read = topic
        }
        const isIn = (range: Pick<Row, 'origin' | 'number' | 'count'>) => covers(range, origin, number)
        const gone = whole ? { origin, number, count: 1, offset: undefined, duplicate: true, epoch: '' } : 'lost'
        if (rows.some((row) => isIn(row) && row.first + number - row.number > settled)) found.push('waiting')
        else found.push(ring.find(isIn) ?? (await ask<Refusal | undefined>(refused.get(id))) ?? gone)
      }
      return found
    })
  }
}

/** No more to be decided about. Its tab may not have heard of the refusal yet, and would take what is gone for stored. */
async function decided({ acks, refused }: Pick<Stores, 'acks' | 'refused'>, message: RefusedMessage): Promise<void> {
  const { id, topic, code, message: why } = message
  const dash = id.lastIndexOf('-')
  const place = { origin: id.slice(0, dash), number: +id.slice(dash + 1), count: 1 }
  const decision: Decided = { id, topic, code, message: why, ...place }
  const ring: unknown[] = (await ask(acks.get(topic))) ?? []
  acks.put([...ring, decision].slice(-CLIENT_LIMITS.outboxAcks), topic)
  refused.delete(id)
}

async function fence(meta: IDBObjectStore, term: number): Promise<void> {
  const newest = (await ask<number | undefined>(meta.get('term'))) ?? 0
  if (newest > term) throw new StoreConflict(`term ${newest} has taken over`)
}

/** Sequences `first` and on are refused. */
export interface Refused extends Pick<Refusal, 'code' | 'message'> {
  readonly first: number
  count: number
}

/** Whether an addition has been stored by a try that did not live to say so. */
async function isKnown(
  { outbox, acks, refused }: Stores,
  { origin, number }: Pick<Row, 'origin' | 'number'>,
  topic?: string,
): Promise<boolean> {
  const rows = await rowsIn(outbox, topic)
  const rings: AckRange[][] = await ask(acks.getAll(topic))
  if ([...rows, ...rings.flat()].some((range) => covers(range, origin, number))) return true
  return (await ask(refused.getKey(`${origin}-${number}`))) !== undefined
}

function keepRefused(
  refused: IDBObjectStore,
  { topic, origin, number, keys, body }: Row,
  code: ErrorCode,
  message: string,
): Refusal[] {
  return body.split(LINE_BREAK).map((line, i) => {
    const refusal: Refusal = { id: `${origin}-${number + i}`, topic, code, message }
    refused.put({ v: 1, ...refusal, line, key: keys?.[i] ?? null } satisfies RefusedMessage, refusal.id)
    return refusal
  })
}
