import { queueAddress, queueAt } from '../protocol/version.ts'
import { ask, type Database, type Stores } from './indexeddb-database.ts'
import type { JobRow, LaneCount, PageBounds, Place, QueueCommit, QueueLoaded, QueueStore } from './queue-store.ts'
import { StoreConflict } from './store.ts'

/** What is known of a queue besides its rows, among the logs of topics. */
interface Self {
  readonly v: 1
  readonly epoch: string
  /** Of the newest home that loaded it. */
  readonly term: number
}

/** What lies at a job's place; its payload stands elsewhere, under its id, so that no move writes it again. */
type Head = readonly [head: string, size: number]
type Key = readonly [address: string, lane: number, due: number, id: number]

/** Sorts behind every number and every text. */
const END: IDBValidKey = []

const STORES = ['logs', 'heads', 'bodies', 'checkpoints'] as const
type Opened = Pick<Stores, (typeof STORES)[number]>

/**
 * A queue between the tabs of an origin, in the stores of their topics' logs: a database that older code has made has room for it, and it
 * is deleted with them. Homes in several tabs may take each other for dead: every write compares terms in its own transaction, and the
 * one that was overtaken writes nothing.
 */
export class IndexedDBQueueStore implements QueueStore {
  readonly #database: Database
  readonly #address: string
  readonly #term: number

  /** @param term higher than that of every home before */
  constructor(database: Database, queue: string, term: number) {
    this.#database = database
    this.#address = queueAddress(queue)
    this.#term = term
  }

  load(newEpoch: string): Promise<QueueLoaded> {
    // Relaxed: what is written here is flushed with the first commit, before which nobody was promised anything.
    return this.#database.write(['logs', 'checkpoints'], 'relaxed', async ({ logs, checkpoints }) => {
      const self: Self = (await ask(logs.get(this.#address))) ?? { v: 1, epoch: newEpoch, term: 0 }
      this.#fence(self)
      logs.put({ ...self, term: this.#term }, this.#address)
      return { epoch: self.epoch, facts: await ask(checkpoints.getAll(this.#range())) }
    })
  }

  commit(commit: QueueCommit): Promise<void> {
    return this.#database.write(STORES, 'strict', async (stores) => {
      const self: Self | undefined = await ask(stores.logs.get(this.#address))
      if (!self) throw new StoreConflict('the queue was deleted')
      this.#fence(self)
      await this.#commit(stores, commit)
    })
  }

  async #commit({ heads, bodies, checkpoints }: Opened, { put, move, remove, facts }: QueueCommit): Promise<void> {
    const at = (place: Place): Promise<Head | undefined> => ask(heads.get([...this.#key(place)]))
    // All are asked for before the first answer is awaited.
    const moved = await Promise.all(move.map(({ from }) => at(from)))
    const removed = await Promise.all(remove.map(at))
    move.forEach(({ from, to, head, body }, i) => {
      const [, before] = moved[i] ?? missing(from)
      heads.delete([...this.#key(from)])
      heads.put([head, body?.length ?? before] satisfies Head, [...this.#key(to)])
      if (body !== undefined) bodies.put(body, [this.#address, to.id])
    })
    remove.forEach((place, i) => {
      if (!removed[i]) missing(place)
      heads.delete([...this.#key(place)])
      bodies.delete([this.#address, place.id])
    })
    for (const row of put) {
      heads.put([row.head, row.body.length] satisfies Head, [...this.#key(row)])
      bodies.put(row.body, [this.#address, row.id])
    }
    for (const [name, text] of facts) {
      if (text === null) checkpoints.delete([this.#address, name])
      else checkpoints.put([name, text], [this.#address, name])
    }
  }

  /** A commit answers once it is on the disk. */
  durable(): void {}

  page(
    lane: number,
    after: Pick<Place, 'due' | 'id'> | undefined,
    { maxJobs, maxBytes }: PageBounds,
  ): Promise<readonly JobRow[]> {
    const from = after ? [lane, after.due, after.id] : [lane]
    return this.#read(async (stores) => {
      const range = IDBKeyRange.bound([this.#address, ...from], [this.#address, lane, END], true, true)
      const [keys, found] = await entries(stores.heads, range, maxJobs)
      let bytes = 0
      // Sizes first: a page of large payloads must not be in memory as a whole to be cut.
      const past = found.findIndex(([, size], i) => {
        bytes += size
        return i > 0 && bytes > maxBytes
      })
      return this.#rows(stores, past === -1 ? keys : keys.slice(0, past), found)
    })
  }

  get(places: readonly Place[]): Promise<readonly JobRow[]> {
    return this.#read((stores) =>
      this.#at(
        stores,
        places.map((place) => this.#key(place)),
      ),
    )
  }

  since(id: number, lanes: number): Promise<readonly JobRow[]> {
    return this.#read(async (stores) => {
      const rows: JobRow[] = []
      for (let lane = 0; lane < lanes; lane++) {
        const range = IDBKeyRange.bound([this.#address, lane, 0, id], [this.#address, lane, 0, END])
        rows.push(...(await this.#rows(stores, ...(await entries(stores.heads, range)))))
      }
      return rows
    })
  }

  find(ids: readonly number[], lanes: number): Promise<readonly JobRow[]> {
    const wanted = new Set(ids)
    return this.#read(async (stores) => {
      const elsewhere = IDBKeyRange.bound([this.#address, lanes], [this.#address, END])
      const keys = (await ask(stores.heads.getAllKeys(elsewhere))) as unknown as Key[]
      const found = keys.filter(([, , , id]) => wanted.has(id))
      const below = ids.flatMap((id) =>
        Array.from({ length: lanes }, (_, lane): Key => this.#key({ lane, due: 0, id })),
      )
      return this.#at(stores, [...below, ...found])
    })
  }

  count(nowMs: number, lanes: readonly number[], most: number): Promise<readonly LaneCount[]> {
    return this.#read(({ heads }) =>
      Promise.all(
        lanes.map(async (lane) => {
          const due = IDBKeyRange.bound([this.#address, lane], [this.#address, lane, nowMs, END])
          return { lane, due: Math.min(most, await ask(heads.count(due))) }
        }),
      ),
    )
  }

  #read<T>(work: (stores: Pick<Stores, 'heads' | 'bodies'>) => Promise<T>): Promise<T> {
    return this.#database.read(['heads', 'bodies'], work)
  }

  async #at(stores: Pick<Stores, 'heads' | 'bodies'>, keys: readonly Key[]): Promise<JobRow[]> {
    const found = await Promise.all(keys.map((key) => ask<Head | undefined>(stores.heads.get([...key]))))
    const there = keys.filter((_, i) => found[i])
    return this.#rows(
      stores,
      there,
      found.flatMap((head) => (head ? [head] : [])),
    )
  }

  async #rows({ bodies }: Pick<Stores, 'bodies'>, keys: readonly Key[], heads: readonly Head[]): Promise<JobRow[]> {
    const texts = await Promise.all(keys.map(([address, , , id]) => ask<string>(bodies.get([address, id]))))
    return keys.map(([, lane, due, id], i) => ({
      lane,
      due,
      id,
      head: (heads[i] as Head)[0],
      body: texts[i] as string,
    }))
  }

  #key({ lane, due, id }: Place): Key {
    return [this.#address, lane, due, id]
  }

  #range(from?: number): IDBKeyRange {
    const start = from === undefined ? [this.#address] : [this.#address, from]
    return IDBKeyRange.bound(start, [this.#address, END])
  }

  #fence({ term }: Self): void {
    if (term > this.#term) throw new StoreConflict(`a home of term ${term} has taken over from term ${this.#term}`)
  }
}

async function entries(heads: IDBObjectStore, range: IDBKeyRange, most?: number): Promise<[Key[], Head[]]> {
  const keys = ask(heads.getAllKeys(range, most)) as unknown as Promise<Key[]>
  const values = ask<Head[]>(heads.getAll(range, most))
  return Promise.all([keys, values])
}

function missing({ lane, due, id }: Place): never {
  throw new StoreConflict(`job ${id} is not at ${due} in lane ${lane}`)
}

/** Names of the queues that a home was ever made for. */
export function queuesIn(database: Database): Promise<string[]> {
  const prefix = queueAddress('')
  return database.read(['logs'], async ({ logs }) => {
    const addresses = await ask(logs.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)))
    return addresses.flatMap((address) => queueAt(address as string) ?? [])
  })
}
