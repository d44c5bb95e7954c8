import { type Chunk, type ChunkHead, StoreConflict } from '@messkit/sdk/store'
import { ROW_LIMIT_BYTES } from './layout.ts'

/**
 * The rows of a log. Every statement here is run to its end: one that is left before it stays open, and while one is open, SQLite cannot
 * shorten its write-ahead log.
 */

export function readTail(sql: SqlStorage): Chunk | undefined {
  const [tail] = sql.exec(`select ${HEAD}, body from chunk order by first desc limit 1`).toArray()
  return tail as Chunk | undefined
}

/** The offset behind the last row, if there is one. */
export function readEnd(sql: SqlStorage): number | undefined {
  const [tail] = sql.exec('select next from chunk order by first desc limit 1').toArray()
  return tail?.next as number | undefined
}

export function readHeads(sql: SqlStorage, from: number): ChunkHead[] {
  return sql
    .exec(`select ${HEAD} from chunk where ${REACHING} order by first`, from, from)
    .toArray() as unknown as ChunkHead[]
}

export function readOn(sql: SqlStorage, from: number, maxBytes: number): Chunk[] {
  const [start] = sql.exec(`select first from chunk where ${REACHING} order by first limit 1`, from, from).toArray()
  if (!start) return []
  const low = start.first as number
  return readBetween(sql, low, reach(sql, ON, low, maxBytes) ?? low)
}

export function readBack(sql: SqlStorage, to: number, maxBytes: number): Chunk[] {
  const low = reach(sql, BACK, to - 1, maxBytes)
  return low === undefined ? [] : readBetween(sql, low, to - 1)
}

export function append(sql: SqlStorage, { first, next, at, start, size, runs, users, body }: Chunk): void {
  assertFits(runs, users, body)
  sql.exec('insert into chunk values (?, ?, ?, ?, ?, ?, ?, ?)', first, next, at, start, size, runs, users, body)
}

export function extend(sql: SqlStorage, { first, next, size, runs, users, body }: Chunk): void {
  assertFits(runs, users, body)
  const { rowsWritten } = sql.exec(EXTEND, next, size, runs, users, body, first)
  if (rowsWritten !== 1) throw new StoreConflict(`the row at ${first}, which was to be made longer, is not there`)
}

export function trim(sql: SqlStorage, below: number): void {
  sql.exec('delete from chunk where first < ? and next <= ?', below, below)
}

const HEAD = 'first, next, at, start, size, runs, users'
/** `next` has no index, but `first` has: the row that an offset lies in is the last one that begins at or before it. */
const REACHING = 'first >= coalesce((select max(first) from chunk where first <= ?), 0) and next > ?'
const BETWEEN = `select ${HEAD}, body from chunk where first between ? and ? order by first`
const EXTEND = 'update chunk set next = ?, size = ?, runs = ?, users = ?, body = ? where first = ?'

const ON = { sizes: 'select first, size from chunk where first >= ? order by first limit ?', step: 1 }
const BACK = { sizes: 'select first, size from chunk where first <= ? order by first desc limit ?', step: -1 }

/** The last row of a page that begins at an offset: as many as fit, and one always. Looks at sizes alone, and at few rows at a time. */
function reach(sql: SqlStorage, { sizes, step }: typeof ON, start: number, maxBytes: number): number | undefined {
  let end: number | undefined
  let bytes = 0
  for (let count = 16, at = start; ; count *= 2) {
    const rows = [...sql.exec(sizes, at, count).raw<[first: number, size: number]>()]
    for (const [first, size] of rows) {
      bytes += size
      if (end !== undefined && bytes > maxBytes) return end
      end = first
    }
    if (rows.length < count || end === undefined) return end
    at = end + step
  }
}

function readBetween(sql: SqlStorage, low: number, high: number): Chunk[] {
  return sql.exec(BETWEEN, low, high).toArray() as unknown as Chunk[]
}

/** Our own mistake if it fails: the broker makes rows of a quarter of this. */
function assertFits(...texts: readonly string[]): void {
  const chars = texts.reduce((sum, text) => sum + text.length, 0)
  if (chars * 3 <= ROW_LIMIT_BYTES) return
  const bytes = texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0)
  if (bytes > ROW_LIMIT_BYTES) throw new RangeError(`a row of ${bytes} bytes; the platform takes ${ROW_LIMIT_BYTES}`)
}
