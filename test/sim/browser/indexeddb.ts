import type { Browser } from './browser.ts'
import { Tab } from './tab.ts'

/**
 * IndexedDB as the tabs of a browser share it: as much as the SDK uses, on virtual time. Transactions wait for those before them,
 * commit by themselves when a page has nothing more to ask, and end with their page, or with a handle that the browser takes away.
 * What was committed is on the disk and outlives every page.
 */
type Key = number | string | readonly Key[]
interface Entry {
  readonly key: Key
  readonly value: unknown
}

export class Range {
  readonly lower: Key | undefined
  readonly upper: Key | undefined
  readonly lowerOpen: boolean
  readonly upperOpen: boolean

  constructor(lower: Key | undefined, upper: Key | undefined, lowerOpen = false, upperOpen = false) {
    this.lower = lower
    this.upper = upper
    this.lowerOpen = lowerOpen
    this.upperOpen = upperOpen
  }

  static bound(lower: Key, upper: Key, lowerOpen?: boolean, upperOpen?: boolean): Range {
    return new Range(lower, upper, lowerOpen, upperOpen)
  }

  static lowerBound(lower: Key, open?: boolean): Range {
    return new Range(lower, undefined, open)
  }

  static of(query: Key | Range | undefined): Range {
    return query instanceof Range ? query : new Range(query, query)
  }
}

/** One object store: entries in the order of their keys. */
class Rows {
  readonly entries: Entry[] = []

  put(key: Key, value: unknown): void {
    const at = this.#first(key, false)
    const replaced = at < this.entries.length && compare((this.entries[at] as Entry).key, key) === 0
    this.entries.splice(at, replaced ? 1 : 0, { key, value })
  }

  find(range: Range): Entry[] {
    return this.entries.slice(...this.#span(range))
  }

  delete(range: Range): Entry[] {
    const [from, to] = this.#span(range)
    return this.entries.splice(from, to - from)
  }

  #span({ lower, upper, lowerOpen, upperOpen }: Range): [from: number, to: number] {
    const from = lower === undefined ? 0 : this.#first(lower, lowerOpen)
    const to = upper === undefined ? this.entries.length : this.#first(upper, !upperOpen)
    return [from, Math.max(from, to)]
  }

  /** Index of the first entry at a key, or behind it. */
  #first(key: Key, behind: boolean): number {
    let low = 0
    for (let high = this.entries.length; low < high; ) {
      const middle = (low + high) >> 1
      const order = compare((this.entries[middle] as Entry).key, key)
      if (order < 0 || (behind && order === 0)) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** What a browser has on its disk under one name. */
class StoredDatabase {
  readonly stores = new Map<string, Rows>()
  /** Transactions that are not over, oldest first. */
  readonly live: Transaction[] = []

  /** Whoever does not have to wait any more begins. */
  advance(): void {
    for (const transaction of this.live)
      if (transaction.state === 'waiting' && this.#free(transaction)) transaction.begin()
  }

  #free(transaction: Transaction): boolean {
    for (const earlier of this.live) {
      if (earlier === transaction) return true
      const bothRead = earlier.mode === 'readonly' && transaction.mode === 'readonly'
      if (!bothRead && transaction.names.some((name) => earlier.names.includes(name))) return false
    }
    return true
  }
}

/** All databases of one browser, and its handles on them. */
export class Disk {
  readonly #browser: Browser
  readonly #databases = new Map<string, StoredDatabase>()
  readonly handles = new Set<Handle>()
  /** Commits that write something fail. */
  full = false
  /** What becomes of the next requests for a handle. */
  opening: 'fine' | 'failing' | 'hanging' = 'fine'

  constructor(browser: Browser) {
    this.#browser = browser
  }

  open(name: string): OpenRequest {
    const tab = Tab.current
    const request = new OpenRequest()
    if (!tab.acts()) return request
    this.#browser.later(this.#browser.swarm.diskMs, () => {
      if (this.opening === 'hanging') return this.#browser.fault('database hangs')
      if (this.opening === 'failing') {
        this.#browser.fault('database does not open')
        tab.run(() => request.fail(new DOMException('Internal error opening backing store', 'UnknownError')))
        return
      }
      if (tab.dead) return
      const stored = this.#databases.get(name) ?? new StoredDatabase()
      const handle = new Handle(this.#browser, tab, stored)
      this.handles.add(handle)
      const isNew = !this.#databases.has(name)
      this.#databases.set(name, stored)
      tab.run(() => {
        request.result = handle
        // All stores in one go: nobody asks for them before this turn ends.
        if (isNew || stored.stores.size === 0) request.onupgradeneeded?.()
        request.succeed(handle)
      })
    })
    return request
  }

  /** A page is gone, or the browser with all of them. */
  gone(tab: Tab): void {
    for (const handle of [...this.handles]) {
      if (handle.tab !== tab) continue
      if (handle.writing) this.#browser.fault('crash in a transaction')
      handle.kill(false)
    }
  }

  /** Something is written that is not committed yet. */
  get writing(): boolean {
    return [...this.#databases.values()].some(({ live }) => live.some((transaction) => transaction.wrote))
  }

  /** What lies there: committed, unless it is {@link writing}. */
  read(database: string, store: string): readonly Entry[] {
    return this.#databases.get(database)?.stores.get(store)?.entries ?? []
  }

  get names(): string[] {
    return [...this.#databases.keys()]
  }
}

/** An `IDBDatabase`. */
export class Handle {
  readonly tab: Tab
  readonly #browser: Browser
  readonly stored: StoredDatabase
  onclose: (() => void) | undefined
  onversionchange: (() => void) | undefined
  readonly #listeners = new Set<() => void>()
  #closed = false
  readonly #open = new Set<Transaction>()

  constructor(browser: Browser, tab: Tab, stored: StoredDatabase) {
    this.#browser = browser
    this.tab = tab
    this.stored = stored
  }

  addEventListener(_close: 'close', listener: () => void): void {
    this.#listeners.add(listener)
  }

  removeEventListener(_close: 'close', listener: () => void): void {
    this.#listeners.delete(listener)
  }

  readonly objectStoreNames = { contains: (name: string): boolean => this.stored.stores.has(name) }

  get writing(): boolean {
    return [...this.#open].some(({ mode, state }) => mode === 'readwrite' && state === 'running')
  }

  createObjectStore(name: string): void {
    this.stored.stores.set(name, new Rows())
  }

  transaction(
    names: readonly string[],
    mode: 'readonly' | 'readwrite',
    { durability = 'relaxed' }: { durability?: 'strict' | 'relaxed' } = {},
  ): Transaction {
    if (this.#closed) throw new DOMException('The database connection is closing', 'InvalidStateError')
    const transaction = new Transaction(this.#browser, this, { names, mode, strict: durability === 'strict' })
    this.tab.transactions.add(transaction)
    this.#open.add(transaction)
    if (!this.tab.acts()) return transaction
    this.stored.live.push(transaction)
    this.stored.advance()
    return transaction
  }

  over(transaction: Transaction): void {
    this.#open.delete(transaction)
    const { live } = this.stored
    const at = live.indexOf(transaction)
    if (at >= 0) live.splice(at, 1)
    this.stored.advance()
    if (this.#closed && this.#open.size === 0) this.#browser.disk.handles.delete(this)
  }

  close(): void {
    this.#closed = true
    if (this.#open.size === 0) this.#browser.disk.handles.delete(this)
  }

  /**
   * It is taken away. A transaction that was committing may be on the disk or not, and its page hears that it is not, or hears
   * nothing but that the handle is gone.
   */
  kill(told: boolean): void {
    if (this.#closed && this.#open.size === 0) return
    this.#closed = true
    this.#browser.disk.handles.delete(this)
    const silent = this.#browser.random.chance(0.5)
    for (const transaction of [...this.#open]) transaction.cut(silent)
    if (!told) return
    // Where no answer is lost, what was committed is told of first.
    const { lostAnswers, diskMs } = this.#browser.swarm
    this.#browser.clock.in(lostAnswers ? 0 : diskMs + 1, () =>
      this.tab.run(() => {
        for (const listener of [...this.#listeners]) listener()
        this.onclose?.()
      }),
    )
  }

  versionChange(): void {
    this.tab.run(() => this.onversionchange?.())
  }
}

class Request<T = unknown> {
  onsuccess: (() => void) | undefined
  onerror: (() => void) | undefined
  result!: T
  error: DOMException | undefined

  succeed(result: T): void {
    this.result = result
    this.onsuccess?.()
  }

  fail(error: DOMException): void {
    this.error = error
    this.onerror?.()
  }
}

class OpenRequest extends Request<Handle> {
  onupgradeneeded: (() => void) | undefined
}

interface Scope {
  readonly names: readonly string[]
  readonly mode: 'readonly' | 'readwrite'
  readonly strict: boolean
}

export class Transaction {
  readonly names: readonly string[]
  readonly mode: Scope['mode']
  state: 'waiting' | 'running' | 'committing' | 'committed' | 'over' = 'waiting'
  oncomplete: (() => void) | undefined
  onabort: (() => void) | undefined
  error: DOMException | null = null
  readonly #browser: Browser
  readonly db: Handle
  readonly #strict: boolean
  /** Requests may be made: in the turn that began it, and in those of its own answers. */
  #active = true
  readonly #requests: { readonly request: Request; readonly work: () => unknown }[] = []
  #working = false
  readonly #undo: (() => void)[] = []

  constructor(browser: Browser, handle: Handle, { names, mode, strict }: Scope) {
    this.#browser = browser
    this.db = handle
    this.names = names
    this.mode = mode
    this.#strict = strict
  }

  objectStore(name: string): Store {
    return new Store(this, this.db.stored.stores.get(name) as Rows)
  }

  ask(work: () => unknown, request = new Request()): Request {
    if (!this.db.tab.acts()) return request
    if (!this.#active || this.state === 'over')
      throw new DOMException('The transaction is not active', 'TransactionInactiveError')
    this.#requests.push({ request, work })
    this.#next()
    return request
  }

  /** Remembers how to take it back. */
  change(rows: Rows, range: Range, replacement?: Entry): void {
    const removed = rows.delete(range)
    if (replacement) rows.put(replacement.key, replacement.value)
    this.#undo.push(() => {
      rows.delete(range)
      for (const { key, value } of removed) rows.put(key, value)
    })
  }

  get wrote(): boolean {
    return this.#undo.length > 0
  }

  begin(): void {
    this.state = 'running'
    this.#next()
  }

  #next(): void {
    if (this.#working || this.state !== 'running' || this.#requests.length === 0) return
    this.#working = true
    this.#browser.later(this.#browser.swarm.diskMs, () => {
      if (this.state !== 'running') return
      const { request, work } = this.#requests[0] as { request: Request; work: () => unknown }
      const result = work()
      this.#answer(() => {
        this.#requests.shift()
        this.#working = false
        request.succeed(result)
        this.#next()
      })
    })
  }

  #answer(tell: () => void): void {
    const { tab } = this.db
    tab.run(() => {
      if (this.state === 'over') return
      this.#active = true
      tab.transactions.add(this)
      tell()
    })
  }

  /** The turn is over in which it was active: with nothing asked, it commits. */
  turnEnded(): void {
    this.#active = false
    if (this.#requests.length > 0 || !(this.state === 'running' || this.state === 'waiting')) return
    // One that never asked for anything still waits for those before it.
    if (this.state === 'waiting') this.#requests.push({ request: new Request(), work: () => undefined })
    else this.#commit()
  }

  #commit(): void {
    const { swarm, disk, random } = this.#browser
    this.state = 'committing'
    this.#browser.later(this.#strict ? swarm.strictMs : swarm.diskMs, () => {
      if (this.state !== 'committing') return
      if (this.wrote && (disk.full || random.chance(swarm.abortShare))) {
        this.#browser.fault(disk.full ? 'quota' : 'transaction aborted')
        this.#end()
        const name = disk.full ? 'QuotaExceededError' : 'UnknownError'
        return this.#tellAbort(new DOMException('The transaction was aborted', name))
      }
      this.state = 'committed'
      this.#undo.length = 0
      this.#leave()
      // The page hears of it later, or, if it dies meanwhile, never.
      this.#browser.later(swarm.diskMs, () =>
        this.db.tab.run(() => {
          if (this.state !== 'committed') return
          this.state = 'over'
          this.db.over(this)
          this.oncomplete?.()
        }),
      )
    })
  }

  abort(): void {
    if (this.state !== 'waiting' && this.state !== 'running')
      throw new DOMException('The transaction has finished', 'InvalidStateError')
    this.#end()
    this.#tellAbort(null)
  }

  /** Its handle or its page is gone. */
  cut(silent: boolean): void {
    const { state } = this
    const { lostAnswers } = this.#browser.swarm
    // Its page still hears of it.
    if (state === 'over' || (state === 'committed' && !lostAnswers)) return
    if (state === 'committing' && lostAnswers && this.#browser.random.chance(0.5)) this.#undo.length = 0
    if (state === 'committing' || state === 'committed') this.#browser.fault('handle lost while committing')
    this.#end()
    if (!silent) this.#tellAbort(new DOMException('The connection was closed', 'AbortError'))
  }

  /** Nothing of it stays. */
  #end(): void {
    this.state = 'over'
    for (const back of this.#undo.splice(0).reverse()) back()
    this.db.over(this)
  }

  /** Those behind it may go on, though its page has not heard of the commit. */
  #leave(): void {
    const { stored } = this.db
    stored.live.splice(stored.live.indexOf(this), 1)
    stored.advance()
  }

  #tellAbort(error: DOMException | null): void {
    this.error = error
    const { tab } = this.db
    this.#browser.later(0, () =>
      tab.run(() => {
        for (const { request } of this.#requests) request.fail(new DOMException('Aborted', 'AbortError'))
        this.onabort?.()
      }),
    )
  }
}

/** An `IDBObjectStore`, without indexes and with keys from outside. */
class Store {
  readonly #transaction: Transaction
  readonly #rows: Rows

  constructor(transaction: Transaction, rows: Rows) {
    this.#transaction = transaction
    this.#rows = rows
  }

  get(query: Key | Range): Request {
    return this.#ask(() => copy(this.#rows.find(Range.of(query))[0]?.value))
  }

  getKey(query: Key | Range): Request {
    return this.#ask(() => this.#rows.find(Range.of(query))[0]?.key)
  }

  getAll(query?: Key | Range, count = Number.POSITIVE_INFINITY): Request {
    return this.#ask(() =>
      this.#rows
        .find(Range.of(query))
        .slice(0, count)
        .map(({ value }) => copy(value)),
    )
  }

  count(query?: Key | Range): Request {
    return this.#ask(() => this.#rows.find(Range.of(query)).length)
  }

  put(value: unknown, key: Key): Request {
    const entry: Entry = { key: copy(key), value: copy(value) }
    return this.#ask(() => this.#transaction.change(this.#rows, Range.of(key), entry))
  }

  delete(query: Key | Range): Request {
    return this.#ask(() => this.#transaction.change(this.#rows, Range.of(query)))
  }

  openCursor(query?: Key | Range, direction: 'next' | 'prev' = 'next'): Request {
    const request = new Request()
    let range = Range.of(query)
    const step = (): unknown => {
      const found = this.#rows.find(range)
      const entry = direction === 'next' ? found[0] : found.at(-1)
      if (!entry) return null
      const { lower, upper, lowerOpen, upperOpen } = range
      range =
        direction === 'next'
          ? new Range(entry.key, upper, true, upperOpen)
          : new Range(lower, entry.key, lowerOpen, true)
      return {
        key: entry.key,
        value: copy(entry.value),
        continue: () => void this.#transaction.ask(step, request),
      }
    }
    return this.#transaction.ask(step, request)
  }

  openKeyCursor(query?: Key | Range, direction?: 'next' | 'prev'): Request {
    return this.openCursor(query, direction)
  }

  #ask(work: () => unknown): Request {
    return this.#transaction.ask(work)
  }
}

/** Numbers before texts before arrays, as the standard orders keys. */
function compare(a: Key, b: Key): number {
  if (typeof a === 'object' && typeof b === 'object') {
    for (let i = 0; i < a.length && i < b.length; i++) {
      const order = compare(a[i] as Key, b[i] as Key)
      if (order !== 0) return order
    }
    return a.length - b.length
  }
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0
  return rank(a) - rank(b)
}

const rank = (key: Key): number => (typeof key === 'number' ? 0 : typeof key === 'string' ? 1 : 2)

/** What structured cloning does to plain data. Anything else is a mistake of ours. */
export function copy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol')
      throw new DOMException(`${String(value)} could not be cloned`, 'DataCloneError')
    return value
  }
  if (Array.isArray(value)) return value.map(copy) as T
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new DOMException('Not plain data', 'DataCloneError')
  const made: Record<string, unknown> = {}
  for (const key in value) made[key] = copy(value[key])
  return made as T
}
