import { DurableObject } from 'cloudflare:workers'
import { resourceOf } from '../access/resource.ts'
import type { Env } from '../env.ts'
import { stubOf } from './resource-stub.ts'

/** A place is given before the object of the topic or queue knows of the connection: so long after that it need not know. */
const ARRIVING_MS = 15_000
/** Whoever asks more often than this while everything is taken is refused by what was found last. */
const LOOK_MS = 1_000
/** Objects that are asked at the same time. */
const ASKED_AT_ONCE = 50

const TABLES = `create table if not exists place (id text primary key, topic text not null, at integer not null) without rowid`

interface Taken {
  /** The key of a topic or queue. */
  readonly where: string
  readonly at: number
}

/**
 * Counts the connections of one user, or of one address, over all topics and queues. Places are given in one turn, so connections that come at the
 * same time cannot share the last one.
 *
 * It counts too many rather than too few: places outlive its memory, and one whose end was never told is taken until somebody needs it.
 * Then the topics and queues are asked who is there.
 */
export class LimiterObject extends DurableObject<Env> {
  readonly #sql: SqlStorage
  readonly #places = new Map<string, Taken>()
  #looking: Promise<void> | undefined
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#sql.exec(TABLES)
    for (const { id, topic, at } of this.#sql.exec('select * from place').toArray())
      this.#places.set(id as string, { where: topic as string, at: at as number })
  }

  /** @returns whether there was room */
  async take({ id, at: where, most }: { id: string; at: string; most: number }): Promise<boolean> {
    if (this.#places.size >= most) await this.#look()
    // From here to the end of the turn nobody else takes one.
    if (this.#places.size >= most) return false
    const at = Date.now()
    this.#places.set(id, { where, at })
    this.#sql.exec('insert into place values (?, ?, ?)', id, where, at)
    return true
  }

  async leave(id: string): Promise<void> {
    this.#free(id)
  }

  #free(id: string): void {
    if (this.#places.delete(id)) this.#sql.exec('delete from place where id = ?', id)
  }

  /** One look at a time, whoever asks for it. */
  #look(): Promise<void> {
    if (!this.#looking && Math.abs(Date.now() - this.#lookedAt) < LOOK_MS) return Promise.resolve()
    this.#looking ??= this.#lookAround().finally(() => {
      this.#looking = undefined
      this.#lookedAt = Date.now()
    })
    return this.#looking
  }

  /** Who cannot be asked keeps what they have. */
  async #lookAround(): Promise<void> {
    const byKey = Map.groupBy(this.#places, ([, { where }]) => where)
    const keys = [...byKey.keys()]
    let next = 0
    const worker = async (): Promise<void> => {
      for (let key = keys[next++]; key !== undefined; key = keys[next++]) {
        await this.#ask(key, byKey.get(key)?.map(([id]) => id) ?? [])
      }
    }
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker))
  }

  async #ask(key: string, ids: readonly string[]): Promise<void> {
    try {
      const there = new Set(await stubOf(this.env, resourceOf(key)).seated(ids))
      const now = Date.now()
      for (const id of ids) {
        const place = this.#places.get(id)
        if (place && !there.has(id) && Math.abs(now - place.at) >= ARRIVING_MS) this.#free(id)
      }
    } catch (error) {
      console.error('a topic or queue could not be asked who is there:', error)
    }
  }
}
