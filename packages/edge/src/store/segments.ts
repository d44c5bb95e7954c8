import { WIDTH } from '@messkit/sdk/broker'
import type { JobRow, PageBounds, Place } from '@messkit/sdk/store'

/** Jobs of a segment, and the characters of their heads and payloads, of which each may be three bytes of a row: more are a second one. */
export const SEGMENT = { jobs: 256, chars: 256 * 1024 } as const
/** Fewer jobs are rows of their own: nothing would be saved. */
const WORTH = 3
/** Segments whose gaps are known; the others are read when something is taken out of them. */
const KNOWN = 64
/** Cannot occur in a JSON text, not even between its parts. */
const BREAK = '\u0001'

interface Segment {
  readonly lane: number
  readonly first: number
  readonly last: number
  /** By place in the segment, as codes of the characters that are stored. */
  readonly gone: Uint8Array
  left: number
  /** Whether there is a row that says what is gone. */
  marked: boolean
}

interface SegmentRow {
  readonly first: number
  readonly last: number
  readonly heads: string
  readonly bodies: string
  readonly gone: string | null
}

/** A part of a lane, and whether there is something behind it. */
export interface Page {
  readonly rows: readonly JobRow[]
  readonly more: boolean
}

/**
 * Jobs that came together, at once due and with ids in a row, are one row; what is taken out of it is another one, that is written once
 * a commit, however many jobs it takes. Both go when the last job does. A job that changes leaves for a row of its own.
 */
export class Segments {
  readonly #sql: SqlStorage
  /** Newest last; more than `KNOWN` only within a commit. */
  readonly #known = new Map<string, Segment>()
  readonly #touched = new Set<Segment>()
  #last: Segment | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** What is known may not be what is stored: a transaction has failed. */
  forget(): void {
    this.#known.clear()
    this.#touched.clear()
    this.#last = undefined
  }

  /** Stores what can be stored together. @returns the others */
  put(rows: readonly JobRow[]): JobRow[] {
    const others: JobRow[] = []
    for (let from = 0; from < rows.length; ) {
      const to = endOfRun(rows, from)
      if (to - from < WORTH) others.push(...rows.slice(from, to))
      else this.#add(rows.slice(from, to))
      from = to
    }
    return others
  }

  #add(rows: readonly JobRow[]): void {
    const [{ lane, id: first }] = rows as [JobRow]
    const last = first + rows.length - 1
    const heads = rows.map(({ head }) => head).join(BREAK)
    const bodies = rows.map(({ body }) => body).join(BREAK)
    this.#sql.exec(
      'insert into segment values (?, ?, ?, ?, ?, ?)',
      placeIn(lane, first),
      lane,
      first,
      last,
      heads,
      bodies,
    )
    this.#remember({
      lane,
      first,
      last,
      gone: new Uint8Array(rows.length).fill(THERE),
      left: rows.length,
      marked: false,
    })
  }

  /** Takes a job out. @returns whether it was in one */
  take(place: Place): boolean {
    const segment = this.#segmentOf(place)
    if (!segment) return false
    const at = place.id - segment.first
    if (segment.gone[at] !== THERE) return false
    segment.gone[at] = GONE
    segment.left--
    this.#touched.add(segment)
    return true
  }

  /** Writes what was taken since the last time. */
  flush(): void {
    for (const segment of this.#touched) {
      const { lane, first, gone, left, marked } = segment
      if (left > 0) {
        this.#sql.exec(MARK, lane, first, gone.length - left, String.fromCharCode(...gone))
        segment.marked = true
        continue
      }
      this.#sql.exec('delete from segment where place = ?', placeIn(lane, first))
      if (marked) this.#sql.exec('delete from segment_gone where lane = ? and first = ?', lane, first)
      this.#known.delete(keyOf(lane, first))
      if (this.#last === segment) this.#last = undefined
    }
    this.#touched.clear()
    // Only now: one that is forgotten before what was taken out of it is written would be read as it was.
    for (const key of this.#known.keys()) {
      if (this.#known.size <= KNOWN) break
      this.#known.delete(key)
      this.#last = undefined
    }
  }

  /**
   * Jobs of a lane behind an id, in order: at least one if there is any, then more while they fit.
   * @returns also whether there are others behind them
   */
  page(lane: number, behind: number, { maxJobs, maxBytes }: PageBounds): Page {
    const found: JobRow[] = []
    let bytes = 0
    for (let after = behind - SEGMENT.jobs; ; ) {
      const [row] = this.#read(NEXT, placeIn(lane, after), placeIn(lane + 1, 0))
      if (!row) break
      after = row.first
      for (const job of jobsOf(lane, row)) {
        if (job.id <= behind) continue
        bytes += job.body.length
        if (found.length > 0 && (bytes > maxBytes || found.length === maxJobs)) return { rows: found, more: true }
        found.push(job)
      }
    }
    return { rows: found, more: false }
  }

  /** Those of the jobs that are in segments of these lanes. */
  find(ids: ReadonlySet<number>, lanes: readonly number[]): JobRow[] {
    if (ids.size === 0 || lanes.length === 0) return []
    const rows = this.#sql.exec(FIND, JSON.stringify([...ids]), JSON.stringify(lanes))
    return (rows.toArray() as unknown as (SegmentRow & { readonly lane: number })[])
      .flatMap((row) => jobsOf(row.lane, row))
      .filter(({ id }) => ids.has(id))
  }

  /** Jobs of a lane with this id or a higher one. */
  since(lane: number, id: number): JobRow[] {
    return this.#read(FROM, placeIn(lane, id - SEGMENT.jobs), placeIn(lane + 1, 0), id)
      .flatMap((row) => jobsOf(lane, row))
      .filter((job) => job.id >= id)
  }

  count(): Map<number, number> {
    const counts = this.#sql.exec(COUNT).raw<[lane: number, count: number]>()
    return new Map(counts)
  }

  #read(statement: string, ...values: number[]): SegmentRow[] {
    return this.#sql.exec(statement, ...values).toArray() as unknown as SegmentRow[]
  }

  #segmentOf({ lane, due, id }: Place): Segment | undefined {
    if (due !== 0) return undefined
    const holds = (one: Segment): boolean => one.lane === lane && one.first <= id && id <= one.last
    if (this.#last && holds(this.#last)) return this.#last
    for (const one of this.#known.values()) {
      if (!holds(one)) continue
      this.#last = one
      return one
    }
    const [row] = this.#sql.exec(GAPS, placeIn(lane, id), id).toArray() as unknown as Omit<
      SegmentRow,
      'heads' | 'bodies'
    >[]
    if (!row) return undefined
    const { first, last } = row
    const gone = gapsOf(row)
    const left = gone.reduce((left, one) => (one === THERE ? left + 1 : left), 0)
    return this.#remember({ lane, first, last, gone, left, marked: row.gone !== null })
  }

  #remember(segment: Segment): Segment {
    this.#known.set(keyOf(segment.lane, segment.first), segment)
    this.#last = segment
    return segment
  }
}

/** What can be one row: at once due, of one lane, one id after the other. */
function endOfRun(rows: readonly JobRow[], from: number): number {
  const { lane, due, id, head, body } = rows[from] as JobRow
  let to = from + 1
  if (due !== 0 || lane >= WIDTH) return to
  for (let chars = head.length + body.length; to < rows.length && to - from < SEGMENT.jobs; to++) {
    const row = rows[to] as JobRow
    chars += row.head.length + row.body.length
    if (row.lane !== lane || row.due !== 0 || row.id !== id + to - from || chars > SEGMENT.chars) break
  }
  return to
}

function jobsOf(lane: number, row: SegmentRow): JobRow[] {
  const gone = gapsOf(row)
  const heads = row.heads.split(BREAK)
  const bodies = row.bodies.split(BREAK)
  const jobs: JobRow[] = []
  for (let at = 0; at < heads.length; at++) {
    if (gone[at] === THERE)
      jobs.push({ lane, due: 0, id: row.first + at, head: heads[at] as string, body: bodies[at] as string })
  }
  return jobs
}

function gapsOf({ first, last, gone }: Pick<SegmentRow, 'first' | 'last' | 'gone'>): Uint8Array {
  const gaps = new Uint8Array(last - first + 1).fill(THERE)
  for (let at = 0; gone !== null && at < gaps.length; at++) gaps[at] = gone.charCodeAt(at)
  return gaps
}

const THERE = '0'.charCodeAt(0)
const GONE = '1'.charCodeAt(0)
/** Ids of a lane: far more than a queue will ever have, and still exact where all of SQLite's parameters are doubles. */
const LANE = 2 ** 48
const placeIn = (lane: number, id: number): number => lane * LANE + id
const keyOf = (lane: number, first: number): string => `${lane} ${first}`

/** Steps of the layout of a queue. */
export const SEGMENT_TABLES = `
  create table segment (
    lane integer not null,
    first integer not null,
    last integer not null,
    heads text not null,
    bodies text not null,
    primary key (lane, first)
  ) without rowid;
  create table segment_gone (
    lane integer not null,
    first integer not null,
    count integer not null,
    gone text not null,
    primary key (lane, first)
  ) without rowid`
/** By a number: SQLite compares the keys of rows without one as a whole, and reads every long row that it passes on its way down. */
export const SEGMENT_PLACES = `
  alter table segment rename to segment_before;
  create table segment (
    place integer primary key,
    lane integer not null,
    first integer not null,
    last integer not null,
    heads text not null,
    bodies text not null
  );
  insert into segment select lane * ${LANE} + first, lane, first, last, heads, bodies from segment_before;
  drop table segment_before`

const MARK = `insert into segment_gone values (?, ?, ?, ?)
  on conflict do update set count = excluded.count, gone = excluded.gone`
const ALL = 'select first, last, heads, bodies, gone from segment left join segment_gone using (lane, first)'
const NEXT = `${ALL} where place > ? and place < ? order by place limit 1`
const FROM = `${ALL} where place > ? and place < ? and last >= ? order by place`
/** The one before a place, which holds it if any does. */
const BEFORE = (place: string, id: string): string =>
  `place <= ${place} and place > ${place} - ${SEGMENT.jobs} and last >= ${id}`
const FIND = `select distinct lane, first, last, heads, bodies, gone
  from json_each(?) one cross join json_each(?) lanes
  cross join segment on ${BEFORE(`lanes.value * ${LANE} + one.value`, 'one.value')} and lane = lanes.value
  left join segment_gone using (lane, first)`
const GAPS = `select first, last, gone from segment left join segment_gone using (lane, first)
  where ${BEFORE('?1', '?2')}`
const COUNT = `select lane, sum(last - first + 1 - coalesce(count, 0)) as count
  from segment left join segment_gone using (lane, first) group by lane`
