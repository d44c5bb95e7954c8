import { DurableObject } from 'cloudflare:workers'
import { keysOf, type PolicyDocument, readPolicy } from '../access/document.ts'
import { carryOver, type News, NO_NEWS } from '../access/news.ts'
import type { Env } from '../env.ts'
import { topicObjectName } from './object-name.ts'

/** How many versions are kept for looking back, and how many acts of administration. */
const VERSIONS = 50
const ACTS = 10_000
/** Revocations that are kept; the oldest give way to new ones, and by then their tokens must have expired. */
const REVOCATIONS = 10_000
/** Objects that are told of a change at the same time. */
const TOLD_AT_ONCE = 50
/** Who could not be told is told again; whoever cannot be reached for longer refuses by itself, see `Lease`. */
const AGAIN_MS = 5_000

const TABLES = `
  create table if not exists policy (version integer primary key, news text not null);
  create table if not exists live (name text primary key) without rowid;
  create table if not exists own (name text primary key) without rowid;
  create table if not exists act (
    id integer primary key, at integer not null, who text not null, what text not null, object text not null,
    outcome text not null, reason text not null
  );
`

/** An act of administration, or a decision that was to be recorded: who did what to what, and what came of it. No payloads, no tokens. */
export interface Act {
  readonly at: number
  /** Issuer and subject. */
  readonly who: string
  readonly what: string
  readonly object: string
  readonly outcome: 'done' | 'refused'
  readonly reason: string
}

/** What a change came to. `told` objects have the new version; `waiting` ones have not answered and will refuse rather than go by an old one. */
export interface Changed {
  readonly version: number
  readonly told: number
  readonly waiting: number
}

/**
 * The one object that holds the deployment's policy and knows who lives by it. No message waits for it: objects and Workers keep copies, and
 * are told when there is a newer one.
 */
export class DirectoryObject extends DurableObject<Env> {
  readonly #sql: SqlStorage
  #news: News
  #own: Set<string>

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#sql.exec(TABLES)
    const [row] = this.#sql.exec('select news from policy order by version desc limit 1').toArray()
    this.#news = row ? (JSON.parse(row.news as string) as News) : NO_NEWS
    this.#bring(env.POLICY || undefined)
    this.#own = new Set(
      this.#sql
        .exec('select name from own')
        .toArray()
        .map(({ name }) => name as string),
    )
  }

  /** @returns the policy if it is newer than what the caller knows */
  news(known: number): News | undefined {
    return this.#news.version > known ? this.#news : undefined
  }

  /** An object that has links says that it wants to be told. */
  enrol(name: string, known: number): News | undefined {
    this.#sql.exec('insert into live values (?) on conflict do nothing', name)
    return this.news(known)
  }

  /** For a Worker that is about to turn somebody away. */
  lookUp(known: number, topic: string): { news: News | undefined; own: boolean } {
    return { news: this.news(known), own: this.#own.has(topic) }
  }

  /** Whether a topic has rules or grants of its own, which may let in whom the deployment's do not. */
  hasOwn(topic: string): boolean {
    return this.#own.has(topic)
  }

  setOwn(topic: string, has: boolean): void {
    if (this.#own.has(topic) === has) return
    this.#sql.exec(has ? 'insert into own values (?)' : 'delete from own where name = ?', topic)
    if (has) this.#own.add(topic)
    else this.#own.delete(topic)
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
        tokens: what.token === undefined ? tokens : [...tokens, what.token].slice(-REVOCATIONS),
        users: what.user === undefined ? users : replaced(users, what.user, before),
        groups: what.group === undefined ? groups : replaced(groups, what.group, before),
      },
    })
  }

  record(act: Act): void {
    const { at, who, what, object, outcome, reason } = act
    this.#sql.exec('insert into act values (null, ?, ?, ?, ?, ?, ?)', at, who, what, object, outcome, reason)
    this.#sql.exec('delete from act where id <= (select max(id) from act) - ?', ACTS)
  }

  /** Newest first. */
  acts(before: number, limit: number): (Act & { id: number })[] {
    const rows = this.#sql.exec('select * from act where id < ? order by id desc limit ?', before, limit)
    return rows.toArray() as unknown as (Act & { id: number })[]
  }

  override async alarm(): Promise<void> {
    await this.#tell(this.#news)
  }

  /** What a deployment brings along counts until somebody sets another policy. */
  #bring(rules: string | undefined): void {
    const { version, brought } = this.#news
    if (brought === rules || (version > 0 && brought === undefined)) return
    try {
      this.#news = this.#next({ rules: rules ?? '', grants: [], tests: [] }, { brought: rules })
    } catch (error) {
      console.error('POLICY is no policy; nobody may do anything:', error)
      return
    }
    this.#keep(this.#news)
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

  #keep(news: News): void {
    this.#sql.exec('insert into policy values (?, ?)', news.version, JSON.stringify(news))
    this.#sql.exec('delete from policy where version <= ?', news.version - VERSIONS)
  }

  async #spread(news: News): Promise<Changed> {
    this.#keep(news)
    this.#news = news
    // Nobody is told of what could still be forgotten.
    await this.ctx.storage.sync()
    return { version: news.version, ...(await this.#tell(news)) }
  }

  async #tell(news: News): Promise<{ told: number; waiting: number }> {
    const names = this.#sql
      .exec('select name from live')
      .toArray()
      .map(({ name }) => name as string)
    let waiting = 0
    let next = 0
    const worker = async (): Promise<void> => {
      for (let name = names[next++]; name !== undefined; name = names[next++]) {
        if (!(await this.#tellOne(name, news))) waiting++
      }
    }
    await Promise.all(Array.from({ length: TOLD_AT_ONCE }, worker))
    if (waiting > 0) await this.ctx.storage.setAlarm(Date.now() + AGAIN_MS)
    return { told: names.length - waiting, waiting }
  }

  async #tellOne(name: string, news: News): Promise<boolean> {
    try {
      const stub = this.env.TOPICS.getByName(topicObjectName(name)) as unknown as Told
      // Nobody is there any more: it will ask when somebody comes.
      if (!(await stub.learn(news))) this.#sql.exec('delete from live where name = ?', name)
      return true
    } catch (error) {
      console.error('an object could not be told of the policy:', error)
      return false
    }
  }
}

/** What objects do with news. @returns whether they still have links */
interface Told {
  learn(news: News): Promise<boolean>
}

function replaced(
  list: readonly (readonly [string, number])[],
  key: string,
  before: number,
): (readonly [string, number])[] {
  return [...list.filter(([known]) => known !== key), [key, before] as const].slice(-REVOCATIONS)
}
