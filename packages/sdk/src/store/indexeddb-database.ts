import { Alarm, databasesFor, elapsed, pause } from '../platform.ts'
import { StoreFull } from './store.ts'

/**
 * One IndexedDB, opened when it is first needed. Browsers take handles away (in the background, on a crash of their storage,
 * when another tab upgrades), so every transaction may be tried again on a fresh one; after three tries the database counts as
 * lost for this tab, and says so.
 */
export const STORES = [
  'meta',
  'topics',
  'outbox',
  'acks',
  'refused',
  'cursors',
  'logs',
  'heads',
  'bodies',
  'checkpoints',
  'replicas',
  'copies',
] as const

export type StoreName = (typeof STORES)[number]
export type Stores = { readonly [S in StoreName]: IDBObjectStore }
export type Durability = 'strict' | 'relaxed'

/** Stays 1: records carry their own version, so that old and new code can share a database. */
const VERSION = 1
const TRIES = 3
/** An open that is blocked or hangs never settles by itself. Looks are counted and not time: a tab that was asleep hears of it late. */
const LOOK_MS = 1_000
const LOOKS = 5

export class Database {
  readonly #name: string
  readonly #onLost: (error: unknown) => void
  readonly #onRoom: () => void
  #opening: Promise<IDBDatabase> | undefined
  #closed: { readonly error: unknown } | undefined
  #state: 'disk' | 'full' | 'lost' = 'disk'

  /**
   * @param onLost told once, when no transaction will succeed any more
   * @param onRoom told when something fits again
   */
  constructor(name: string, onLost: (error: unknown) => void, onRoom = () => {}) {
    this.#name = name
    this.#onLost = onLost
    this.#onRoom = onRoom
  }

  /** `full` until something fits again. */
  get state(): 'disk' | 'full' | 'lost' {
    return this.#state
  }

  read<T>(stores: readonly StoreName[], work: (stores: Stores) => Promise<T>): Promise<T> {
    return this.#run(stores, (db) => db.transaction(stores, 'readonly'), work)
  }

  /**
   * All or nothing; resolves once it is committed, with `strict` also once it is on the disk.
   * @param work awaits nothing but requests of this transaction, which would commit meanwhile. `again` says that an earlier try
   * ended without an answer: it may have been committed
   * @throws {StoreFull} and nothing was written
   */
  async write<T>(
    stores: readonly StoreName[],
    durability: Durability,
    work: (stores: Stores, again: boolean) => Promise<T>,
  ): Promise<T> {
    const result = await this.#run(stores, (db) => db.transaction(stores, 'readwrite', { durability }), work)
    if (this.#state === 'full') {
      this.#state = 'disk'
      this.#onRoom()
    }
    return result
  }

  /** Everything goes. */
  clear(): Promise<void> {
    return this.write(STORES, 'strict', async (stores) => {
      for (const store of STORES) stores[store].clear()
    })
  }

  /** Transactions that are under way end first. */
  close(): void {
    this.#closed ??= { error: new DOMException('Closed', 'InvalidStateError') }
    this.#drop()
  }

  async #run<T>(
    stores: readonly StoreName[],
    begin: (db: IDBDatabase) => IDBTransaction,
    work: (stores: Stores, again: boolean) => Promise<T>,
  ): Promise<T> {
    for (let tries = 1; ; tries++) {
      if (this.#closed) throw this.#closed.error
      try {
        this.#opening ??= this.#open().catch((error) => {
          // Also one that failed for want of room is tried anew.
          this.#opening = undefined
          throw error
        })
        return await transact(begin(await this.#opening), stores, (opened) => work(opened, tries > 1))
      } catch (error) {
        const { name } = error as Error
        if (name === 'QuotaExceededError') {
          this.#state = 'full'
          throw new StoreFull('no room left', { cause: error })
        }
        if (!DEAD.includes(name)) throw error
        this.#drop()
        if (tries >= TRIES || name === HUNG) {
          if (!this.#closed) this.#lose(error)
          throw error
        }
        await pause(20 * 5 ** tries)
      }
    }
  }

  #lose(error: unknown): void {
    this.#state = 'lost'
    this.#closed = { error }
    this.#onLost(error)
  }

  async #open(): Promise<IDBDatabase> {
    const db = await bounded(
      openVersion(this.#name, VERSION).catch((error: Error) => {
        // Newer code was here. It keeps what older code reads.
        if (error.name === 'VersionError') return openVersion(this.#name, undefined)
        throw error
      }),
    )
    db.onclose = () => this.#drop()
    // Somebody wants to upgrade or delete it: a handle that stays open would hold them up for ever.
    db.onversionchange = () => this.#drop()
    return db
  }

  #drop(): void {
    this.#opening?.then(
      (db) => db.close(),
      () => {},
    )
    this.#opening = undefined
  }
}

/** An open that did not settle in time. A `TimeoutError` is the browser's, for a transaction whose tab stood still meanwhile. */
const HUNG = 'HungError'
/** A handle that is no good any more, a storage that does not answer, a transaction that ended without our doing. */
const DEAD = ['InvalidStateError', 'UnknownError', 'AbortError', 'TimeoutError', 'SecurityError', HUNG]

async function openVersion(name: string, version: number | undefined): Promise<IDBDatabase> {
  const place = await databasesFor(name)
  const request = place.open(name, version)
  request.onupgradeneeded = () => {
    for (const store of STORES)
      if (!request.result.objectStoreNames.contains(store)) request.result.createObjectStore(store)
  }
  // Held as long as the handle is: once a bucket is collected as garbage, Chromium 156 answers none of its transactions any more.
  return Object.assign(await ask(request), { place })
}

function bounded(opening: Promise<IDBDatabase>): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    let late = false
    let looks = 0
    const look = (): void => {
      late = ++looks > LOOKS
      if (late) reject(new DOMException('The database did not open in time', HUNG))
      else alarm.set(elapsed() + LOOK_MS)
    }
    const alarm = new Alarm(look)
    look()
    opening.then((db) => (late ? db.close() : resolve(db)), reject).finally(() => alarm.clear())
  })
}

function transact<T>(
  tx: IDBTransaction,
  names: readonly StoreName[],
  work: (stores: Stores) => Promise<T>,
): Promise<T> {
  const stores = Object.fromEntries(names.map((name) => [name, tx.objectStore(name)])) as Stores
  return new Promise((resolve, reject) => {
    let result: { readonly value: T } | undefined
    let failure: unknown
    // A handle that the browser takes away may take its transactions along without a word.
    const { db } = tx
    const end = (settle: () => void) => (): void => {
      db.removeEventListener('close', aborted)
      settle()
    }
    const aborted = end(() => reject(tx.error ?? failure ?? new DOMException('Aborted', 'AbortError')))
    db.addEventListener('close', aborted)
    // Only `complete` counts: with the quota exceeded, requests succeed and the commit fails. It comes early for work that awaits
    // something else than the transaction's requests, and then nobody knows what of it was written.
    tx.oncomplete = end(() => (result ? resolve(result.value) : reject(new Error('Too early'))))
    tx.onabort = aborted
    work(stores).then(
      (value) => {
        result = { value }
        // Nothing more will be asked: the browser need not find out by itself.
        try {
          tx.commit()
        } catch {}
      },
      (error: unknown) => {
        failure = error
        // Where a request failed it is aborting already.
        try {
          tx.abort()
        } catch {}
      },
    )
  })
}

export function ask<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Keys `[topic, from]` to before `[topic, to]`. */
export function keysOf(topic: string, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY): IDBKeyRange {
  return IDBKeyRange.bound([topic, from], [topic, to], false, true)
}
