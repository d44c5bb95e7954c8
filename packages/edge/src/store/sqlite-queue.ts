import { WIDTH } from '@messkit/sdk/broker'
import {
  type JobRow,
  type LaneCount,
  type PageBounds,
  type Place,
  type QueueCommit,
  type QueueLoaded,
  type QueueStore,
  StoreConflict,
} from '@messkit/sdk/store'
import { type Page, SEGMENT_PLACES, SEGMENT_TABLES, Segments } from './segments.ts'
import { type SqliteHome, translate } from './sqlite.ts'

/**
 * A queue in the SQLite of its Durable Object: jobs in the order in which they are taken, those that came together in one row, and small
 * facts by name. No other index, since each of its entries would be one more row. Answers at once, except that what is committed becomes durable later. Every statement is run
 * to its end: one that is left before it stays open.
 */
export class SqliteQueueStore implements QueueStore {
  readonly #home: SqliteHome
  readonly #sql: SqlStorage
  readonly #segments: Segments
  #flush: Promise<void> | undefined

  constructor(home: SqliteHome) {
    this.#home = home
    this.#sql = home.sql
    this.#segments = new Segments(home.sql)
  }

  load(newEpoch: string): QueueLoaded {
    const epoch = this.#open(newEpoch)
    const facts = this.#sql.exec('select name, text from queue_fact where name <> ?', SELF).raw<[string, string]>()
    return { epoch, facts: [...facts] }
  }

  commit({ put, move, remove, facts }: QueueCommit): void {
    this.#write((sql) => {
      const segments = this.#segments
      const leaving = move.filter(({ from }) => from.due === 0).map(({ from }) => from)
      const left = new Map(this.#together(leaving).map((row) => [row.id, row]))
      for (const { from, to, head, body } of move) {
        const row = left.get(from.id)
        if (row && segments.take(from)) sql.exec(INSERT, to.lane, to.due, to.id, head, body ?? row.body)
        else {
          const place = [from.lane, from.due, from.id] as const
          const moved =
            body === undefined
              ? sql.exec(MOVE, to.lane, to.due, head, ...place)
              : sql.exec(MOVE_ANEW, to.lane, to.due, head, body, ...place)
          if (moved.rowsWritten === 0) missing(from)
        }
      }
      for (const place of remove) {
        if (segments.take(place)) continue
        if (sql.exec(REMOVE, place.lane, place.due, place.id).rowsWritten === 0) missing(place)
      }
      for (const { lane, due, id, head, body } of segments.put(put)) sql.exec(INSERT, lane, due, id, head, body)
      segments.flush()
      for (const [name, text] of facts) {
        if (text === null) sql.exec('delete from queue_fact where name = ?', name)
        else sql.exec(SET, name, text)
      }
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

  page(
    lane: number,
    after: Pick<Place, 'due' | 'id'> | undefined,
    { maxJobs, maxBytes }: PageBounds,
  ): readonly JobRow[] {
    const behind = after ?? { due: -1, id: -1 }
    const single = this.#single(lane, behind, { maxJobs, maxBytes })
    // What lies in segments is due at once, and so comes before all that has a time.
    if (behind.due > 0) return single.rows
    const together = this.#segments.page(lane, behind.id, { maxJobs, maxBytes })
    if (together.rows.length === 0) return single.rows
    return single.rows.length === 0 ? together.rows : merge([single, together], { maxJobs, maxBytes })
  }

  #single(lane: number, { due, id }: Pick<Place, 'due' | 'id'>, { maxJobs, maxBytes }: PageBounds): Page {
    let bytes = 0
    let end: readonly [due: number, id: number] | undefined
    let more = false
    // Sizes first: a page of large payloads must not be in memory as a whole to be cut.
    const sizes = this.#sql.exec(SIZES, lane, due, id, maxJobs + 1).raw<[number, number, number]>()
    let count = 0
    for (const [rowDue, rowId, size] of sizes) {
      bytes += size
      more ||= count++ === maxJobs || (end !== undefined && bytes > maxBytes)
      if (!more) end = [rowDue, rowId]
    }
    return { rows: end ? this.#rows(PAGE, lane, due, id, ...end) : [], more }
  }

  get(places: readonly Place[]): readonly JobRow[] {
    const single = this.#rows(GET, JSON.stringify(places.map(({ lane, due, id }) => [lane, due, id])))
    return [...single, ...this.#together(places.filter(({ due }) => due === 0))]
  }

  since(id: number, lanes: number): readonly JobRow[] {
    return upTo(lanes).flatMap((lane) => [...this.#rows(SINCE, lane, id), ...this.#segments.since(lane, id)])
  }

  find(ids: readonly number[], lanes: number): readonly JobRow[] {
    const below = JSON.stringify(upTo(lanes))
    const wanted = JSON.stringify(ids)
    return [
      ...this.#rows(LOOK_UP, wanted, below),
      ...this.#rows(READ_THROUGH, lanes, wanted),
      ...this.#segments.find(new Set(ids), upTo(lanes)),
    ]
  }

  count(nowMs: number, lanes: readonly number[], most: number): readonly LaneCount[] {
    // Jobs in segments are due at once, which is asked of few lanes: all of them would be read.
    const together = lanes.some((lane) => lane < WIDTH) ? this.#segments.count() : NONE
    return lanes.map((lane) => {
      const single = this.#sql.exec(COUNT, lane, nowMs, most).one().due as number
      return { lane, due: Math.min(most, single + (together.get(lane) ?? 0)) }
    })
  }

  /** Those of the places that lie in segments. */
  #together(places: readonly Place[]): JobRow[] {
    const wanted = new Set(places.map(({ lane, id }) => `${lane} ${id}`))
    const lanes = new Set(places.map(({ lane }) => lane))
    const found = this.#segments.find(new Set(places.map(({ id }) => id)), [...lanes])
    return found.filter(({ lane, id }) => wanted.has(`${lane} ${id}`))
  }

  #rows(statement: string, ...values: SqlStorageValue[]): JobRow[] {
    return this.#sql.exec(statement, ...values).toArray() as unknown as JobRow[]
  }

  /** The queue's name, once every step of the layout is taken. */
  #open(newEpoch: string): string {
    this.#sql.exec(FACTS)
    const [row] = this.#sql.exec('select text from queue_fact where name = ?', SELF).toArray()
    const self = row && (JSON.parse(row.text as string) as Self)
    if (self?.layout === STEPS.length) return self.epoch
    if (self && self.layout > STEPS.length)
      throw new Error(`the queue has layout ${self.layout}; this version knows ${STEPS.length} and would damage it`)
    const epoch = self?.epoch ?? newEpoch
    this.#write((sql) => {
      for (const step of STEPS.slice(self?.layout ?? 0)) sql.exec(step)
      sql.exec(SET, SELF, JSON.stringify({ epoch, layout: STEPS.length } satisfies Self))
    })
    return epoch
  }

  #write(work: (sql: SqlStorage) => void): void {
    try {
      this.#home.transactionSync(() => work(this.#sql))
    } catch (error) {
      this.#segments.forget()
      translate(error)
    }
  }
}

interface Self {
  readonly epoch: string
  /** Steps of the layout that were taken. */
  readonly layout: number
}

/** Where the store keeps what is its own, beside the facts of its broker. */
const SELF = '_queue'

/** A step that was released is never edited: a change is one more step at the end. */
const STEPS = [
  `create table job (
    lane integer not null,
    due integer not null,
    id integer not null,
    head text not null,
    body text not null,
    primary key (lane, due, id)
  ) without rowid`,
  SEGMENT_TABLES,
  SEGMENT_PLACES,
] as const

const FACTS = 'create table if not exists queue_fact (name text primary key, text text not null) without rowid'
const SET = 'insert into queue_fact values (?, ?) on conflict do update set text = excluded.text'
const INSERT = 'insert into job values (?, ?, ?, ?, ?)'
const MOVE = 'update job set lane = ?, due = ?, head = ? where lane = ? and due = ? and id = ?'
const MOVE_ANEW = 'update job set lane = ?, due = ?, head = ?, body = ? where lane = ? and due = ? and id = ?'
const REMOVE = 'delete from job where lane = ? and due = ? and id = ?'
const BEHIND = 'lane = ? and (due, id) > (?, ?)'
const SIZES = `select due, id, length(body) from job where ${BEHIND} order by due, id limit ?`
const PAGE = `select * from job where ${BEHIND} and (due, id) <= (?, ?) order by due, id`
const GET = `select job.* from json_each(?) place cross join job
  on lane = place.value ->> 0 and due = place.value ->> 1 and job.id = place.value ->> 2`
const LOOK_UP = `select job.* from json_each(?) one cross join json_each(?) lanes cross join job
  on lane = lanes.value and due = 0 and job.id = one.value`
const READ_THROUGH = 'select * from job where lane >= ? and id in (select value from json_each(?))'
const SINCE = 'select * from job where lane = ? and due = 0 and id >= ?'
const COUNT = 'select count(*) as due from (select 1 from job where lane = ? and due <= ? limit ?)'

const NONE: ReadonlyMap<number, number> = new Map()
const upTo = (lanes: number): number[] => Array.from({ length: lanes }, (_, lane) => lane)

const inOrder = (a: JobRow, b: JobRow): number => a.due - b.due || a.id - b.id

/** Both in one order, as far as both are known: at least one, then more while they fit. */
function merge(pages: readonly Page[], { maxJobs, maxBytes }: PageBounds): readonly JobRow[] {
  const rows = pages.flatMap(({ rows }) => rows).sort(inOrder)
  const known = pages.flatMap(({ rows, more }) => (more ? [rows.at(-1) as JobRow] : []))
  let bytes = 0
  let end = 0
  for (; end < rows.length && end < maxJobs; end++) {
    const row = rows[end] as JobRow
    bytes += row.body.length
    if (end > 0 && (bytes > maxBytes || known.some((last) => inOrder(row, last) > 0))) break
  }
  return rows.slice(0, end)
}

function missing({ lane, due, id }: Place): never {
  throw new StoreConflict(`job ${id} is not at ${due} in lane ${lane}`)
}
