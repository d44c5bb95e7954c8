import { checkpointAt } from '@messkit/sdk/broker'
import {
  type Chunk,
  type ChunkHead,
  type Commit,
  type Loaded,
  type LogStore,
  StoreConflict,
  StoreFull,
} from '@messkit/sdk/store'
import { FACTS, LOG_BUCKET, ROW_LIMIT_BYTES, STEPS } from './layout.ts'

/** What it needs of `ctx.storage`. */
export type SqliteHome = Pick<DurableObjectStorage, 'sql' | 'transactionSync' | 'sync'>

/** A log in the SQLite of its Durable Object. Answers at once, except that what is committed becomes durable later. */
export class SqliteStore implements LogStore {
  readonly #home: SqliteHome
  readonly #sql: SqlStorage
  #flush: Promise<void> | undefined

  constructor(home: SqliteHome) {
    this.#home = home
    this.#sql = home.sql
  }

  load(newEpoch: string): Loaded {
    const { epoch } = this.#open(newEpoch)
    const checkpoint = this.#readCheckpoint()
    const heads = this.#sql.exec(HEADS_SINCE, checkpointAt(checkpoint), checkpointAt(checkpoint)).toArray()
    const [tail] = this.#sql.exec(TAIL).toArray()
    return { epoch, checkpoint, heads: heads as unknown as ChunkHead[], tail: tail as Chunk | undefined }
  }

  commit({ expect, replaceTail, append, trimBelow, checkpoint }: Commit): void {
    this.#write(() => {
      const [tail] = this.#sql.exec(END).toArray()
      if (tail && tail.next !== expect.head) {
        throw new StoreConflict(`the log ends at ${tail.next}, not at ${expect.head}`)
      }
      if (replaceTail) this.#extend(replaceTail)
      for (const chunk of append) this.#append(chunk)
      if (trimBelow !== undefined)
        this.#sql.exec('delete from chunk where first < ? and next <= ?', trimBelow, trimBelow)
      for (const [bucket, text] of checkpoint ?? []) this.#setFact(bucket, text)
    })
  }

  durable(): Promise<void> {
    this.#flush = this.#home.sync().catch(translate)
    return this.#flush
  }

  /** Resolves once the commit that is on its way now, if any, is durable or has failed, and its broker has been told so. */
  async flushed(): Promise<void> {
    await this.#flush?.catch(() => {})
  }

  read(from: number, maxBytes: number): readonly Chunk[] {
    return take(this.#sql.exec(CHUNKS_FROM, from, from), maxBytes)
  }

  readBefore(to: number, maxBytes: number): readonly Chunk[] {
    return take(this.#sql.exec(CHUNKS_BEFORE, to), maxBytes).reverse()
  }

  /** The log's row, with every step of the layout taken. */
  #open(newEpoch: string): LogFacts {
    const stored = this.#readLog()
    if (stored?.layout === STEPS.length) return stored
    if (stored && stored.layout > STEPS.length) {
      throw new Error(`the log has layout ${stored.layout}; this version knows ${STEPS.length} and would damage it`)
    }
    const log = { epoch: stored?.epoch ?? newEpoch, layout: STEPS.length }
    this.#write(() => {
      for (const step of STEPS.slice(stored?.layout ?? 0)) this.#sql.exec(step)
      this.#setFact(LOG_BUCKET, JSON.stringify(log))
    })
    return log
  }

  #readLog(): LogFacts | undefined {
    this.#sql.exec(FACTS)
    const [row] = this.#sql.exec('select text from fact where bucket = ?', LOG_BUCKET).toArray()
    return row && (JSON.parse(row.text as string) as LogFacts)
  }

  #readCheckpoint(): (readonly [number, string])[] {
    const buckets = new Map<number, string>()
    for (const [bucket, text] of this.#sql.exec(CHECKPOINT, LOG_BUCKET).raw<[number, string]>()) {
      buckets.set(bucket, (buckets.get(bucket) ?? '') + text)
    }
    return [...buckets]
  }

  #append({ first, next, at, start, size, runs, users, body }: Chunk): void {
    assertFits(runs, users, body)
    this.#sql.exec('insert into chunk values (?, ?, ?, ?, ?, ?, ?, ?)', first, next, at, start, size, runs, users, body)
  }

  #extend({ first, next, size, runs, users, body }: Chunk): void {
    assertFits(runs, users, body)
    const { rowsWritten } = this.#sql.exec(EXTEND, next, size, runs, users, body, first)
    if (rowsWritten !== 1) throw new StoreConflict(`the row at ${first}, which was to be made longer, is not there`)
  }

  #setFact(bucket: number, text: string): void {
    let part = 0
    for (let start = 0; start === 0 || start < text.length; start += PART_CHARS) {
      this.#sql.exec(SET_FACT, bucket, part++, text.slice(start, start + PART_CHARS))
    }
    this.#sql.exec('delete from fact where bucket = ? and part >= ?', bucket, part)
  }

  #write(work: () => void): void {
    try {
      this.#home.transactionSync(work)
    } catch (error) {
      translate(error)
    }
  }
}

interface LogFacts {
  readonly epoch: string
  readonly layout: number
}

/** Checkpoints are ASCII, but for whatever a later layout may bring: three bytes a character still fit. */
const PART_CHARS = 500_000

const HEAD = 'first, next, at, start, size, runs, users'
/** `next` has no index, but `first` has: the chunk that an offset lies in is the last one that begins at or before it. */
const REACHING = 'first >= coalesce((select max(first) from chunk where first <= ?), 0) and next > ?'
const HEADS_SINCE = `select ${HEAD} from chunk where ${REACHING} order by first`
const CHUNKS_FROM = `select ${HEAD}, body from chunk where ${REACHING} order by first`
const CHUNKS_BEFORE = `select ${HEAD}, body from chunk where first < ? order by first desc`
const TAIL = `select ${HEAD}, body from chunk order by first desc limit 1`
const END = 'select next from chunk order by first desc limit 1'
const EXTEND = 'update chunk set next = ?, size = ?, runs = ?, users = ?, body = ? where first = ?'
const CHECKPOINT = 'select bucket, text from fact where bucket > ? order by bucket, part'
const SET_FACT = 'insert into fact values (?, ?, ?) on conflict do update set text = excluded.text'

/** Reads on while it fits; a row that was read and does not fit any more is left to the next page. */
function take(rows: Iterable<Record<string, SqlStorageValue>>, maxBytes: number): Chunk[] {
  const chunks: Chunk[] = []
  let bytes = 0
  for (const row of rows) {
    const chunk = row as unknown as Chunk
    bytes += chunk.size
    if (chunks.length > 0 && bytes > maxBytes) break
    chunks.push(chunk)
  }
  return chunks
}

/** Our own mistake if it fails: the broker makes rows of a quarter of this. */
function assertFits(...texts: readonly string[]): void {
  const chars = texts.reduce((sum, text) => sum + text.length, 0)
  if (chars * 3 <= ROW_LIMIT_BYTES) return
  const bytes = texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0)
  if (bytes > ROW_LIMIT_BYTES) throw new RangeError(`a row of ${bytes} bytes; the platform takes ${ROW_LIMIT_BYTES}`)
}

function translate(error: unknown): never {
  if (error instanceof Error && /SQLITE_FULL|database or disk is full/i.test(error.message)) {
    throw new StoreFull('the storage of the object is full', { cause: error })
  }
  throw error
}
