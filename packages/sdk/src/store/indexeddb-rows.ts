import { LINE_BREAK } from '../protocol/codec.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'
import { ask, keysOf } from './indexeddb-database.ts'

/** The records of an outbox in a browser. They carry `v`; later versions only add fields. */

/** How far a topic's publisher has counted. One record, so that its name and its counts are lost together. */
export interface Counter {
  readonly v: 1
  readonly topic: string
  readonly publisher: string
  /** Sequence of the next message. */
  readonly next: number
  /** Newest sequence that is settled and was not refused. */
  readonly settled: number
}

/** Messages that one transaction added to one topic: sequences from `first`, ids `<origin>-<number>` and on. */
export interface Row {
  readonly v: 1
  readonly topic: string
  readonly publisher: string
  readonly first: number
  readonly count: number
  readonly origin: string
  readonly number: number
  readonly keys: readonly (string | null)[] | undefined
  /** Payload texts joined by {@link LINE_BREAK}. */
  readonly body: string
}

/** What became of messages with ids `<origin>-<number>` and on. */
export interface AckRange {
  readonly origin: string
  readonly number: number
  count: number
  readonly offset: number | undefined
  readonly duplicate: boolean
  readonly epoch: string
}

/** A message that was set aside. */
export interface Refusal {
  readonly id: string
  readonly topic: string
  readonly code: ErrorCode
  readonly message: string
}

/** One that was set aside, and is not any more. Stands among the acks. */
export interface Decided extends Refusal, Pick<AckRange, 'origin' | 'number' | 'count'> {}

export interface RefusedMessage extends Refusal {
  readonly v: 1
  readonly line: string
  readonly key: string | null
}

/** One stretch of memory for a page of rows, whatever is in them. */
const PAGE_ROWS = 100

export const isNewer = ({ v }: { readonly v: number }): boolean => v !== 1

/** @throws if a later version wrote it: it is left as it is */
export function known<T extends { readonly v: 1 }>(record: T | undefined): T | undefined {
  if (record && isNewer(record)) throw new Error(`written by a newer build`)
  return record
}

export function covers(
  { origin, number, count }: Pick<Row, 'origin' | 'number' | 'count'>,
  wanted: string,
  at: number,
): boolean {
  return origin === wanted && number <= at && at < number + count
}

/** Rows of all topics, or of one between two sequences, in order. */
export async function rowsIn(outbox: IDBObjectStore, topic?: string, from?: number, to?: number): Promise<Row[]> {
  const rows: Row[] = []
  const whole = topic === undefined ? undefined : keysOf(topic, from, to)
  let range = whole
  for (;;) {
    const page: Row[] = await ask(outbox.getAll(range, PAGE_ROWS))
    for (const row of page) rows.push(topic === undefined ? row : (known(row) as Row))
    const last = page.at(-1)
    if (!last || page.length < PAGE_ROWS) return rows
    const after = [last.topic, last.first]
    range = whole ? IDBKeyRange.bound(after, whole.upper, true, true) : IDBKeyRange.lowerBound(after, true)
  }
}

/** The part of a row from one sequence to before another. */
export function slice(row: Row, from: number, to = Number.POSITIVE_INFINITY): Row | undefined {
  const start = Math.max(0, from - row.first)
  const end = Math.min(row.count, to - row.first)
  if (start >= end) return undefined
  const body = row.body.split(LINE_BREAK).slice(start, end).join(LINE_BREAK)
  return {
    ...row,
    first: row.first + start,
    count: end - start,
    number: row.number + start,
    keys: row.keys?.slice(start, end),
    body,
  }
}
