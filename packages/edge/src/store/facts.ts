import { LOG_BUCKET, ROW_LIMIT_BYTES } from './layout.ts'

/** What stands beside the messages of a log: its name and layout, and the checkpoint by bucket. A long text stands in several rows. */
export interface LogFacts {
  readonly epoch: string
  readonly layout: number
}

/** @returns `undefined` for a log that was never opened */
export function readLog(sql: SqlStorage): LogFacts | undefined {
  sql.exec(TABLE)
  const [row] = sql.exec('select text from fact where bucket = ?', LOG_BUCKET).toArray()
  return row && (JSON.parse(row.text as string) as LogFacts)
}

export function writeLog(sql: SqlStorage, log: LogFacts): void {
  writeFact(sql, LOG_BUCKET, JSON.stringify(log))
}

export function readCheckpoint(sql: SqlStorage): (readonly [bucket: number, text: string])[] {
  const buckets = new Map<number, string>()
  for (const [bucket, text] of sql.exec(CHECKPOINT, LOG_BUCKET).raw<[number, string]>()) {
    buckets.set(bucket, (buckets.get(bucket) ?? '') + text)
  }
  return [...buckets]
}

/** @returns the text, or `undefined` if there is none */
export function readFact(sql: SqlStorage, bucket: number): string | undefined {
  sql.exec(TABLE)
  const parts = sql.exec('select text from fact where bucket = ? order by part', bucket).toArray()
  return parts.length === 0 ? undefined : parts.map(({ text }) => text).join('')
}

export function writeFact(sql: SqlStorage, bucket: number, text: string): void {
  let parts = 0
  for (const part of partsOf(text)) sql.exec(SET, bucket, parts++, part)
  sql.exec('delete from fact where bucket = ? and part >= ?', bucket, parts)
}

const TABLE = `create table if not exists fact (
  bucket integer not null,
  part integer not null,
  text text not null,
  primary key (bucket, part)
) without rowid`
const CHECKPOINT = 'select bucket, text from fact where bucket > ? order by bucket, part'
const SET = 'insert into fact values (?, ?, ?) on conflict do update set text = excluded.text'

/** A character takes three bytes at most. */
const PART_CHARS = Math.floor(ROW_LIMIT_BYTES / 4)

/** A text in pieces, each short enough for a row. */
export function* partsOf(text: string): Iterable<string> {
  let start = 0
  do {
    let end = start + PART_CHARS
    // Between the halves of a surrogate pair there is nothing that could be stored.
    if ((text.codePointAt(end - 1) ?? 0) > 0xffff) end--
    yield text.slice(start, end)
    start = end
  } while (start < text.length)
}
