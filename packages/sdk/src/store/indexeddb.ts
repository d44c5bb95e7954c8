import { checkpointAt } from '../broker/checkpoint.ts'
import { ask, type Database, keysOf } from './indexeddb-database.ts'
import { walk } from './indexeddb-walk.ts'
import { type Chunk, type ChunkHead, type Commit, type Loaded, type LogStore, StoreConflict } from './store.ts'

/** What is known of a log besides its rows. `head` outlives the rows, so that no offset is given twice. */
interface Log {
  readonly v: 1
  readonly epoch: string
  readonly head: number
  /** Of the newest home that loaded it. */
  readonly term: number
}

/**
 * A log between the tabs of an origin. Heads and bodies of its chunks are two stores under the same keys, since waking needs
 * hundreds of heads and one body. Homes in several tabs may take each other for dead: every write compares term and head in
 * its own transaction, and the one that was overtaken writes nothing.
 */
export class IndexedDBStore implements LogStore {
  readonly #database: Database
  readonly #topic: string
  readonly #term: number
  /** As it was loaded, with what a later version added to it. */
  #log: Log | undefined

  /** @param term higher than that of every home before */
  constructor(database: Database, topic: string, term: number) {
    this.#database = database
    this.#topic = topic
    this.#term = term
  }

  load(newEpoch: string): Promise<Loaded> {
    const topic = this.#topic
    // Relaxed: what is written here is flushed with the first commit, before which nobody was promised anything.
    return this.#database.write(
      ['logs', 'heads', 'bodies', 'checkpoints'],
      'relaxed',
      async ({ logs, heads, bodies, checkpoints }) => {
        const log: Log = (await ask(logs.get(topic))) ?? { v: 1, epoch: newEpoch, head: 0, term: 0 }
        this.#fence(log)
        this.#log = { ...log, term: this.#term }
        logs.put(this.#log, topic)
        const checkpoint: Loaded['checkpoint'] = await ask(checkpoints.getAll(keysOf(topic)))
        const newest = await nearest(heads, topic, log.head)
        const tail = newest && { ...newest, body: (await ask(bodies.get([topic, newest.first]))) as string }
        return { epoch: log.epoch, checkpoint, heads: await headsFrom(heads, topic, checkpointAt(checkpoint)), tail }
      },
    )
  }

  commit({ expect, replaceTail, append, trimBelow, checkpoint }: Commit): Promise<void> {
    const topic = this.#topic
    return this.#database.write(
      ['logs', 'heads', 'bodies', 'checkpoints'],
      'strict',
      async ({ logs, heads, bodies, checkpoints }) => {
        // Everything is asked for in one go, and what must hold is looked at then: a mistake takes all of it back.
        const found = Promise.all([
          ask<Log | undefined>(logs.get(topic)),
          replaceTail && ask(heads.getKey([topic, replaceTail.first])),
        ])
        const rows = replaceTail ? [replaceTail, ...append] : append
        for (const { body, ...head } of rows) {
          heads.put(head, [topic, head.first])
          bodies.put(body, [topic, head.first])
        }
        for (const [bucket, text] of checkpoint ?? []) checkpoints.put([bucket, text], [topic, bucket])
        logs.put({ ...this.#log, head: rows.at(-1)?.next ?? expect.head }, topic)
        const [log, tail] = await found
        if (log?.head !== expect.head) throw new StoreConflict(`the log ends at ${log?.head}, not at ${expect.head}`)
        this.#fence(log)
        if (replaceTail && tail === undefined)
          throw new StoreConflict('the row that was to be made longer is not there')
        if (trimBelow === undefined) return
        const last = await nearest(heads, topic, trimBelow)
        const below = keysOf(topic, undefined, last && last.next > trimBelow ? last.first : trimBelow)
        heads.delete(below)
        bodies.delete(below)
      },
    )
  }

  /** A commit answers once it is on the disk. */
  durable(): void {}

  read(from: number, maxBytes: number): Promise<readonly Chunk[]> {
    const topic = this.#topic
    return this.#database.read(['heads', 'bodies'], async ({ heads, bodies }) =>
      withBodies(bodies, topic, await headsFrom(heads, topic, from, maxBytes)),
    )
  }

  readBefore(to: number, maxBytes: number): Promise<readonly Chunk[]> {
    const topic = this.#topic
    return this.#database.read(['heads', 'bodies'], async ({ heads, bodies }) => {
      const found: ChunkHead[] = []
      await walk(heads, { range: keysOf(topic, undefined, to), direction: 'prev' }, fitting(found, maxBytes))
      return withBodies(bodies, topic, found.reverse())
    })
  }

  #fence({ term }: Log): void {
    if (term > this.#term) throw new StoreConflict(`a home of term ${term} has taken over from term ${this.#term}`)
  }
}

/** The last chunk that begins before an offset. */
async function nearest(heads: IDBObjectStore, topic: string, before: number): Promise<ChunkHead | undefined> {
  const cursor = await ask(heads.openCursor(keysOf(topic, undefined, before), 'prev'))
  return cursor?.value as ChunkHead | undefined
}

async function headsFrom(
  heads: IDBObjectStore,
  topic: string,
  from: number,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<ChunkHead[]> {
  const before = await nearest(heads, topic, from)
  const range = keysOf(topic, before && before.next > from ? before.first : from)
  const found: ChunkHead[] = []
  await walk(heads, { range, direction: 'next' }, fitting(found, maxBytes))
  return found
}

/** Takes at least one, then more while they fit. */
function fitting(found: ChunkHead[], maxBytes: number): (value: unknown) => boolean {
  let bytes = 0
  return (value) => {
    const head = value as ChunkHead
    bytes += head.size
    if (found.length > 0 && bytes > maxBytes) return false
    found.push(head)
    return bytes <= maxBytes
  }
}

async function withBodies(
  bodies: IDBObjectStore,
  topic: string,
  heads: readonly ChunkHead[],
): Promise<readonly Chunk[]> {
  const [first] = heads
  const last = heads.at(-1)
  if (!first || !last) return []
  const texts: string[] = await ask(bodies.getAll(keysOf(topic, first.first, last.next)))
  return heads.map((head, i) => ({ ...head, body: texts[i] as string }))
}
