import { DurableObject } from 'cloudflare:workers'
import type { Env } from '../env.ts'
import { topicObjectName } from './object-name.ts'

/** A place is given before the topic's object knows of the connection: so long after that it need not know. */
const ARRIVING_MS = 15_000
/** Whoever asks more often than this while everything is taken is refused by what was found last. */
const LOOK_MS = 1_000
/** Topics that are asked at the same time. */
const ASKED_AT_ONCE = 50

const TABLES = `create table if not exists place (id text primary key, topic text not null, at integer not null) without rowid`

interface Taken {
  readonly topic: string
  readonly at: number
}

/**
 * Counts the connections of one user, or of one address, over all topics. Places are given in one turn, so connections that come at the
 * same time cannot share the last one.
 *
 * It counts too many rather than too few: places outlive its memory, and one whose end was never told is taken until somebody needs it.
 * Then the topics are asked who is there.
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
      this.#places.set(id as string, { topic: topic as string, at: at as number })
  }

  /** @returns whether there was room */
  async take({ id, topic, most }: { id: string; topic: string; most: number }): Promise<boolean> {
    if (this.#places.size >= most) await this.#look()
    // From here to the end of the turn nobody else takes one.
    if (this.#places.size >= most) return false
    const at = Date.now()
    this.#places.set(id, { topic, at })
    this.#sql.exec('insert into place values (?, ?, ?)', id, topic, at)
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
    const byTopic = Map.groupBy(this.#places, ([, { topic }]) => topic)
    const topics = [...byTopic.keys()]
    let next = 0
    const worker = async (): Promise<void> => {
      for (let topic = topics[next++]; topic !== undefined; topic = topics[next++]) {
        await this.#ask(topic, byTopic.get(topic)?.map(([id]) => id) ?? [])
      }
    }
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker))
  }

  async #ask(topic: string, ids: readonly string[]): Promise<void> {
    try {
      const stub = this.env.TOPICS.getByName(topicObjectName(topic)) as unknown as Asked
      const there = new Set(await stub.seated(ids))
      const now = Date.now()
      for (const id of ids) {
        const place = this.#places.get(id)
        if (place && !there.has(id) && Math.abs(now - place.at) >= ARRIVING_MS) this.#free(id)
      }
    } catch (error) {
      console.error('a topic could not be asked who is there:', error)
    }
  }
}

/** What a topic's object answers. @returns those of the places at which somebody sits */
interface Asked {
  seated(ids: readonly string[]): Promise<readonly string[]>
}
