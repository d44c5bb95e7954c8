import { checkpointAt } from '@messkit/sdk/broker'
import { type Chunk, type Commit, type Loaded, type LogStore, StoreConflict, StoreFull } from '@messkit/sdk/store'
import { append, extend, readBack, readEnd, readHeads, readOn, readTail, trim } from './chunks.ts'
import { type LogFacts, readCheckpoint, readLog, writeFact, writeLog } from './facts.ts'
import { STEPS } from './layout.ts'

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
    const checkpoint = readCheckpoint(this.#sql)
    return { epoch, checkpoint, heads: readHeads(this.#sql, checkpointAt(checkpoint)), tail: readTail(this.#sql) }
  }

  /** Where the log stands; a topic of which nothing was ever stored begins at 0. */
  head(): number {
    return readLog(this.#sql) ? (readEnd(this.#sql) ?? checkpointAt(readCheckpoint(this.#sql))) : 0
  }

  commit({ expect, replaceTail, append: rows, trimBelow, checkpoint }: Commit): void {
    this.#write((sql) => {
      // A log of which every row was trimmed ends where its checkpoint was taken.
      const head = readEnd(sql) ?? checkpointAt(readCheckpoint(sql))
      if (head !== expect.head) throw new StoreConflict(`the log ends at ${head}, not at ${expect.head}`)
      if (replaceTail) extend(sql, replaceTail)
      for (const chunk of rows) append(sql, chunk)
      if (trimBelow !== undefined) trim(sql, trimBelow)
      for (const [bucket, text] of checkpoint ?? []) writeFact(sql, bucket, text)
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
    return readOn(this.#sql, from, maxBytes)
  }

  readBefore(to: number, maxBytes: number): readonly Chunk[] {
    return readBack(this.#sql, to, maxBytes)
  }

  /** The log's facts, once every step of the layout is taken. */
  #open(newEpoch: string): LogFacts {
    const stored = readLog(this.#sql)
    if (stored?.layout === STEPS.length) return stored
    if (stored && stored.layout > STEPS.length) {
      throw new Error(`the log has layout ${stored.layout}; this version knows ${STEPS.length} and would damage it`)
    }
    const log = { epoch: stored?.epoch ?? newEpoch, layout: STEPS.length }
    this.#write((sql) => {
      for (const step of STEPS.slice(stored?.layout ?? 0)) sql.exec(step)
      writeLog(sql, log)
    })
    return log
  }

  #write(work: (sql: SqlStorage) => void): void {
    try {
      this.#home.transactionSync(() => work(this.#sql))
    } catch (error) {
      translate(error)
    }
  }
}

export function translate(error: unknown): never {
  if (error instanceof Error && /SQLITE_FULL|database or disk is full/i.test(error.message)) {
    throw new StoreFull('the storage of the object is full', { cause: error })
  }
  throw error
}
