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
import { type SqliteHome, translate } from './sqlite.ts'

/**
 * A queue in the SQLite of its Durable Object: jobs in the order in which they are taken, and small facts by name. No other index, since
 * each of its entries would be one more row. Answers at once, except that what is committed becomes durable later. Every statement is run
 * to its end: one that is left before it stays open.
 */
export class SqliteQueueStore implements QueueStore {
  readonly #home: SqliteHome
  readonly #sql: SqlStorage
  #flush: Promise<void> | undefined

  constructor(home: SqliteHome) {
    this.#home = home
    this.#sql = home.sql
  }

  load(newEpoch: string): QueueLoaded {
    const epoch = this.#open(newEpoch)
    const facts = this.#sql.exec('select name, text from queue_fact where name <> ?', SELF).raw<[string, string]>()
    return { epoch, facts: [...facts] }
  }

  commit({ put, move, remove, facts }: QueueCommit): void {
    this.#write((sql) => {
      for (const { from, to, head } of move) {
        const moved = sql.exec(MOVE, to.lane, to.due, head, from.lane, from.due, from.id)
        if (moved.rowsWritten === 0) missing(from)
      }
      for (const place of remove) {
        const removed = sql.exec(REMOVE, place.lane, place.due, place.id)
        if (removed.rowsWritten === 0) missing(place)
      }
      for (const { lane, due, id, head, body } of put)
        sql.exec('insert into job values (?, ?, ?, ?, ?)', lane, due, id, head, body)
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
    const { due, id } = after ?? { due: -1, id: -1 }
    let bytes = 0
    let end: readonly [due: number, id: number] | undefined
    // Sizes first: a page of large payloads must not be in memory as a whole to be cut.
    for (const [rowDue, rowId, size] of this.#sql.exec(SIZES, lane, due, id, maxJobs).raw<[number, number, number]>()) {
      bytes += size
      if (end === undefined || bytes <= maxBytes) end = [rowDue, rowId]
      else bytes = Number.POSITIVE_INFINITY
    }
    return end ? this.#rows(PAGE, lane, due, id, ...end) : []
  }

  get(places: readonly Place[]): readonly JobRow[] {
    return this.#rows(GET, JSON.stringify(places.map(({ lane, due, id }) => [lane, due, id])))
  }

  since(id: number, lanes: number): readonly JobRow[] {
    return Array.from({ length: lanes }, (_, lane) => this.#rows(SINCE, lane, id)).flat()
  }

  find(ids: readonly number[], lanes: number): readonly JobRow[] {
    const below = JSON.stringify(Array.from({ length: lanes }, (_, lane) => lane))
    const wanted = JSON.stringify(ids)
    return [...this.#rows(LOOK_UP, wanted, below), ...this.#rows(READ_THROUGH, lanes, wanted)]
  }

  count(nowMs: number): readonly LaneCount[] {
    return this.#sql.exec(COUNT, nowMs).toArray() as unknown as LaneCount[]
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
] as const

const FACTS = 'create table if not exists queue_fact (name text primary key, text text not null) without rowid'
const SET = 'insert into queue_fact values (?, ?) on conflict do update set text = excluded.text'
const MOVE = 'update job set lane = ?, due = ?, head = ? where lane = ? and due = ? and id = ?'
const REMOVE = 'delete from job where lane = ? and due = ? and id = ?'
const BEHIND = 'lane = ? and (due, id) > (?, ?)'
const SIZES = `select due, id, octet_length(body) from job where ${BEHIND} order by due, id limit ?`
const PAGE = `select * from job where ${BEHIND} and (due, id) <= (?, ?) order by due, id`
const GET = `select job.* from json_each(?) place cross join job
  on lane = place.value ->> 0 and due = place.value ->> 1 and job.id = place.value ->> 2`
const LOOK_UP = `select job.* from json_each(?) one cross join json_each(?) lanes cross join job
  on lane = lanes.value and due = 0 and job.id = one.value`
const READ_THROUGH = 'select * from job where lane >= ? and id in (select value from json_each(?))'
const SINCE = 'select * from job where lane = ? and due = 0 and id >= ?'
const COUNT = 'select lane, count(*) as total, coalesce(sum(due <= ?), 0) as due from job group by lane'

function missing({ lane, due, id }: Place): never {
  throw new StoreConflict(`job ${id} is not at ${due} in lane ${lane}`)
}
