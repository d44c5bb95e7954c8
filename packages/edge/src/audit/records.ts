const RECORDS = {
  /** Of one place: a topic, or the deployment. So many go at a time: the oldest of whoever has most. */
  rows: 10_000,
  rotatedAtOnce: 500,
  /** Longer texts are cut: an issuer, or the name of a topic that is none, may have any length. */
  textChars: 512,
} as const

export const OUTCOMES = ['done', 'allowed', 'refused'] as const

/** Who did what to what, when, and what came of it. No payloads, no tokens. */
export interface AuditRecord {
  /** In ms since 1970. */
  readonly at: number
  /** Issuer, if it is not the deployment's own, and subject. */
  readonly who: string
  /** An act of administration, or the action that a `-log` rule decided. */
  readonly what: string
  readonly object: string
  /** `done` and `refused` of acts, `allowed` and `refused` of what a rule decided. */
  readonly outcome: (typeof OUTCOMES)[number]
  /** The code of the refusal, or the rule that decided. */
  readonly reason: string
  /** Messages that were allowed, or refusals in the minute that began with `at`. */
  readonly count: number
}

export interface RecordRow extends AuditRecord {
  readonly id: number
}

export interface RecordQuery {
  /** Only older ones than the row with this id. */
  readonly before: number
  readonly limit: number
  readonly who: string | undefined
  readonly outcome: AuditRecord['outcome'] | undefined
}

const TABLE = `create table if not exists record (
  id integer primary key, at integer not null, who text not null, what text not null, object text not null,
  outcome text not null, reason text not null, count integer not null
)`

const OLDEST = 'select id from record order by id limit ?'
const OLDEST_OF = 'select id from record where who = ? order by id limit ?'

/** A bounded list of what was done and decided in an object's own SQLite. Its table is made with the first row: most topics have none. */
export class Records {
  readonly #sql: SqlStorage
  #isThere = false

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** @returns the row's id */
  add({ at, who, what, object, outcome, reason, count }: AuditRecord): number {
    this.#make()
    const [row] = this.#sql
      .exec(
        'insert into record values (null, ?, ?, ?, ?, ?, ?, ?) returning id',
        at,
        ...[who, what, object, outcome, reason].map((text) => text.slice(0, RECORDS.textChars)),
        count,
      )
      .toArray()
    const id = row?.id as number
    if (id % RECORDS.rotatedAtOnce === 0) this.#rotate()
    return id
  }

  /** Whoever does much pushes out what they did themselves, and not what others did. */
  #rotate(): void {
    const users = this.#sql.exec('select who, count(*) as rows from record group by who order by rows desc').toArray()
    const excess = users.reduce((sum, { rows }) => sum + (rows as number), 0) - RECORDS.rows
    const [most] = users
    if (excess <= 0 || !most) return
    if ((most.rows as number) > excess)
      this.#sql.exec(`delete from record where id in (${OLDEST_OF})`, most.who, excess)
    else this.#sql.exec(`delete from record where id in (${OLDEST})`, excess)
  }

  setCount(id: number, count: number): void {
    this.#sql.exec('update record set count = ? where id = ?', count, id)
  }

  /** Newest first. */
  list({ before, limit, who, outcome }: RecordQuery): RecordRow[] {
    if (!this.#isThere && !this.#find()) return []
    const where = ['id < ?', ...(who === undefined ? [] : ['who = ?']), ...(outcome ? ['outcome = ?'] : [])]
    const values = [before, ...(who === undefined ? [] : [who]), ...(outcome ? [outcome] : []), limit]
    return this.#sql
      .exec(`select * from record where ${where.join(' and ')} order by id desc limit ?`, ...values)
      .toArray() as unknown as RecordRow[]
  }

  #find(): boolean {
    this.#isThere = this.#sql.exec("select 1 from sqlite_master where name = 'record'").toArray().length > 0
    return this.#isThere
  }

  #make(): void {
    if (!this.#isThere) this.#sql.exec(TABLE)
    this.#isThere = true
  }
}
