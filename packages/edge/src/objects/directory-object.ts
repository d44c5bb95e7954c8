import { DurableObject } from 'cloudflare:workers'
import { keysOf, type PolicyDocument, readPolicy } from '../access/document.ts'
import { carryOver, type News, NO_NEWS, readNews, writeNews } from '../access/news.ts'
import { keyOf, resourceOf } from '../access/resource.ts'
import type { Kick } from '../access/resource-access.ts'
import { type AuditRecord, type RecordQuery, type RecordRow, Records } from '../audit/records.ts'
import { Refusals } from '../audit/refusals.ts'
import type { Env } from '../env.ts'
import { partsOf } from '../store/facts.ts'
import { Errands } from './errands.ts'
import { stubOf } from './resource-stub.ts'

/** How many versions are kept for looking back. */
const VERSIONS = 50
/** Revocations that are kept; the oldest give way to new ones, and by then their tokens must have expired. */
const REVOCATIONS = 10_000
/** Links that an object could not be told to end are left alone after this long: by then they may be others. */
const KICK_MS = 60_000
/** Denials are counted by the minute, and for so long. */
const DENIAL_WINDOW_MS = 60_000
const DENIALS_KEPT_MS = 7 * 24 * 3_600_000

/** `live` and `own` have the keys of topics and queues, `queue` names: of all queues that anybody was ever let into. */
const TABLES = `
  create table if not exists policy (version integer primary key, news text not null);
  create table if not exists policy_part (
    version integer not null, part integer not null, text text not null, primary key (version, part)
  ) without rowid;
  create table if not exists live (name text primary key) without rowid;
  create table if not exists own (name text primary key) without rowid;
  create table if not exists queue (name text primary key) without rowid;
  create table if not exists kick (id integer primary key autoincrement, who text not null, until integer not null);
  create table if not exists denial (
    at integer not null, reason text not null, count integer not null, primary key (at, reason)
  ) without rowid;
`

/** What a change came to. `told` objects have the new version; `waiting` ones are told next, or will refuse rather than go by an old one for long. */
export interface Changed {
  readonly version: number
  readonly told: number
  readonly waiting: number
}

/** What a kick came to: links that were ended, and objects that could not be told yet. */
export interface Kicked {
  readonly links: number
  readonly waiting: number
}

/** How often somebody was turned away for a reason in the minute that began with `at`. */
export interface Denied {
  readonly at: number
  readonly reason: string
  readonly count: number
}

/**
 * The one object that holds the deployment's policy and knows who lives by it. No message waits for it: objects and Workers keep copies, and
 * are told when there is a newer one.
 */
export class DirectoryObject extends DurableObject<Env> {
  readonly #sql: SqlStorage
  readonly #records: Records
  readonly #refusals: Refusals
  readonly #errands: Errands
  #news: News
  /** The same as text. */
  #text: string
  /** Objects that are being told. One that enrols meanwhile has somebody there again, whatever it answers. */
  readonly #telling = new Set<{ readonly name: string; enrolled: boolean }>()

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#sql.exec(TABLES)
    this.#records = new Records(this.#sql)
    this.#refusals = new Refusals(this.#records)
    this.#errands = new Errands({
      storage: ctx.storage,
      now: () => Date.now(),
      tell: (errand, name) => (errand > 0 ? this.#tellNews(name) : this.#tellKick(-errand, name)),
      size: (errand) => (errand > 0 ? this.#text.length : 0),
      // It will ask when somebody comes.
      gone: (name) => this.#sql.exec('delete from live where name = ?', name),
    })
    this.#text = this.#newest() ?? writeNews(NO_NEWS)
    this.#news = readNews(this.#text)
    this.#bring(env.POLICY || undefined)
  }

  /** @returns the policy, as text, if it is newer than what the caller knows */
  news(known: number): string | undefined {
    return this.#news.version > known ? this.#text : undefined
  }

  /** An object that has links says that it wants to be told. */
  enrol(name: string, known: number): string | undefined {
    this.#sql.exec('insert into live values (?) on conflict do nothing', name)
    for (const told of this.#telling) if (told.name === name) told.enrolled = true
    const { kind, name: queue } = resourceOf(name)
    if (kind === 'queue') this.#sql.exec('insert into queue values (?) on conflict do nothing', queue)
    return this.news(known)
  }

  /** For a Worker that is about to turn somebody away. */
  lookUp(known: number, key: string): { news: string | undefined; own: boolean } {
    return { news: this.news(known), own: this.hasOwn(key) }
  }

  /** Whether a topic or queue has rules or grants of its own, which may let in whom the deployment's do not. */
  hasOwn(key: string): boolean {
    return this.#sql.exec('select 1 from own where name = ?', key).toArray().length > 0
  }

  /** A page of the queues there are, in their order, and whether each has rules or grants of its own. */
  queues(after: string, limit: number): { readonly name: string; readonly own: boolean }[] {
    const rows = this.#sql.exec(
      `select queue.name, own.name is not null as own from queue left join own on own.name = ? || queue.name
       where queue.name > ? order by queue.name limit ?`,
      keyOf({ kind: 'queue', name: '' }),
      after,
      limit,
    )
    return rows.toArray().map(({ name, own }) => ({ name: name as string, own: own === 1 }))
  }

  markOwn(key: string): void {
    this.#sql.exec('insert into own values (?) on conflict do nothing', key)
  }

  /** @returns `undefined` if somebody else has changed it meanwhile */
  async change(document: PolicyDocument, ifVersion: number): Promise<Changed | undefined> {
    return this.#news.version === ifVersion ? this.#spread(this.#next(document)) : undefined
  }

  /** From now on these count no more, on live links, too. */
  async revoke(what: { token?: string; user?: string; group?: string }, before: number): Promise<Changed> {
    const { tokens, users, groups } = this.#news.revoked
    return this.#spread({
      ...this.#news,
      version: this.#news.version + 1,
      revoked: {
        tokens:
          what.token === undefined
            ? tokens
            : [...tokens.filter((known) => known !== what.token), what.token].slice(-REVOCATIONS),
        users: what.user === undefined ? users : replaced(users, what.user, before),
        groups: what.group === undefined ? groups : replaced(groups, what.group, before),
      },
    })
  }

  /** Ends links now. Whoever still may comes back. */
  async kick(who: Kick): Promise<Kicked> {
    const now = Date.now()
    this.#sql.exec('delete from kick where until < ?', now)
    const [row] = this.#sql
      .exec('insert into kick values (null, ?, ?) returning id', JSON.stringify(who), now + KICK_MS)
      .toArray()
    const { sum, waiting } = await this.#errands.run(-(row?.id as number), this.#live())
    return { links: sum, waiting }
  }

  // ---- what was done

  record(record: AuditRecord): void {
    if (record.outcome === 'refused') this.#refusals.add(record)
    else this.#records.add(record)
  }

  records(query: RecordQuery): RecordRow[] {
    this.#refusals.flush()
    return this.#records.list(query)
  }

  /** What a Worker has turned away: how often for which reason, and whom by a `-log` rule. */
  count(counts: readonly (readonly [reason: string, count: number])[], records: readonly AuditRecord[]): void {
    const now = Date.now()
    const at = now - (now % DENIAL_WINDOW_MS)
    for (const [reason, count] of counts)
      this.#sql.exec(
        'insert into denial values (?, ?, ?) on conflict do update set count = count + excluded.count',
        at,
        reason,
        count,
      )
    this.#sql.exec('delete from denial where at < ?', now - DENIALS_KEPT_MS)
    for (const record of records) this.record(record)
  }

  /** Newest first. */
  denials(limit: number): Denied[] {
    const rows = this.#sql.exec('select at, reason, count from denial order by at desc, reason limit ?', limit)
    return rows.toArray() as unknown as Denied[]
  }

  override async alarm(): Promise<void> {
    await this.#errands.alarm()
  }

  /** What a deployment brings along counts until somebody sets another policy. */
  #bring(rules: string | undefined): void {
    const { version, brought } = this.#news
    if (brought === rules || (version > 0 && brought === undefined)) return
    let news: News
    try {
      news = this.#next({ rules: rules ?? '', grants: [], tests: [] }, { brought: rules })
    } catch (error) {
      console.error('POLICY is no policy; nobody may do anything:', error)
      return
    }
    this.#keep(news)
  }

  #next(document: PolicyDocument, { brought }: { brought?: string | undefined } = {}): News {
    const { version: newest, since, document: old, revoked } = this.#news
    const version = newest + 1
    const [before, after] = [keysOf(readPolicy({ ...old, tests: [] })), keysOf(readPolicy(document))]
    return {
      version,
      document,
      since: {
        rules: carryOver({ keys: before.rules, since: since.rules }, after.rules, version),
        grants: carryOver({ keys: before.grants, since: since.grants }, after.grants, version),
      },
      revoked,
      ...(brought !== undefined && { brought }),
    }
  }

  #newest(): string | undefined {
    const [row] = this.#sql.exec('select version, news from policy order by version desc limit 1').toArray()
    if (!row) return undefined
    const more = this.#sql.exec('select text from policy_part where version = ? order by part', row.version).toArray()
    return [row.news, ...more.map((part) => part.text)].join('')
  }

  /** The largest policy is larger than a row may be. */
  #keep(news: News): void {
    const { version } = news
    const whole = writeNews(news)
    this.ctx.storage.transactionSync(() => {
      const [first, ...more] = partsOf(whole)
      this.#sql.exec('insert into policy values (?, ?)', version, first)
      for (const [part, text] of more.entries())
        this.#sql.exec('insert into policy_part values (?, ?, ?)', version, part, text)
      for (const table of ['policy', 'policy_part'])
        this.#sql.exec(`delete from ${table} where version <= ?`, version - VERSIONS)
    })
    this.#text = whole
    this.#news = readNews(whole)
  }

  async #spread(news: News): Promise<Changed> {
    this.#keep(news)
    // Nobody is told of what could still be forgotten.
    await this.ctx.storage.sync()
    // Whoever still waits to hear of an older one hears of this one instead.
    this.#errands.drop(1, news.version)
    const { told, waiting } = await this.#errands.run(news.version, this.#live())
    return { version: news.version, told, waiting }
  }

  #live(): string[] {
    return this.#sql
      .exec('select name from live')
      .toArray()
      .map(({ name }) => name as string)
  }

  async #tellNews(name: string): Promise<number | undefined> {
    const told = { name, enrolled: false }
    this.#telling.add(told)
    try {
      const here = await this.#objectOf(name).learn(this.#text)
      return here || told.enrolled ? 0 : undefined
    } finally {
      this.#telling.delete(told)
    }
  }

  async #tellKick(kick: number, name: string): Promise<number> {
    const [row] = this.#sql.exec('select who from kick where id = ? and until >= ?', kick, Date.now()).toArray()
    return row ? this.#objectOf(name).kick(JSON.parse(row.who as string) as Kick) : 0
  }

  #objectOf(key: string) {
    return stubOf(this.env, resourceOf(key))
  }
}

function replaced(
  list: readonly (readonly [string, number])[],
  key: string,
  before: number,
): (readonly [string, number])[] {
  return [...list.filter(([known]) => known !== key), [key, before] as const].slice(-REVOCATIONS)
}
