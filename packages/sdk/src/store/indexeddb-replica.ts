import type { Range } from '../protocol/answers.ts'
import { ask, type Database, keysOf } from './indexeddb-database.ts'
import { walk } from './indexeddb-walk.ts'

/** How far the copy of a topic goes. Its rows end here, and begin wherever they begin. */
interface State {
  readonly v: 1
  readonly epoch: string
  readonly next: number
}

/** Newest messages of a topic, without a hole. */
export interface Copy {
  readonly epoch: string
  readonly next: number
  readonly ranges: readonly Range[]
}

/**
 * Copies of topics whose home is elsewhere: the newest messages of each, for a page that is opened without a network. Nothing here
 * is promised to anybody, so nothing waits for the disk; what is lost is fetched again.
 */
export class IndexedDBReplicas {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  position(topic: string): Promise<Pick<Copy, 'epoch' | 'next'> | undefined> {
    return this.#database.read(['replicas'], ({ replicas }) => ask<State | undefined>(replicas.get(topic)))
  }

  /** The rows that hold the newest messages, at least so many if there are. */
  read(topic: string, messages: number): Promise<Copy | undefined> {
    return this.#database.read(['replicas', 'copies'], async ({ replicas, copies }) => {
      const state = await ask<State | undefined>(replicas.get(topic))
      if (!state) return undefined
      const ranges: Range[] = []
      await walk(copies, { range: keysOf(topic), direction: 'prev' }, (row) => {
        ranges.unshift(row as Range)
        return state.next - (row as Range).first < messages
      })
      return { epoch: state.epoch, next: state.next, ranges }
    })
  }

  /** Appends what follows, and lets go of rows that nobody asked to keep. @returns whether it follows */
  append(topic: string, epoch: string, range: Range, maxMessages: number): Promise<boolean> {
    return this.#database.write(['replicas', 'copies'], 'relaxed', async ({ replicas, copies }) => {
      const state = await ask<State | undefined>(replicas.get(topic))
      if (state?.epoch !== epoch || state.next !== range.first) return false
      copies.put(range, [topic, range.first])
      replicas.put({ v: 1, epoch, next: range.next } satisfies State, topic)
      const oldest = await ask(copies.openKeyCursor(keysOf(topic, undefined, range.next - maxMessages + 1), 'prev'))
      if (oldest) copies.delete(keysOf(topic, undefined, (oldest.key as [string, number])[1]))
      return true
    })
  }

  /** What was copied is of no use any more: it goes on from here. */
  reset(topic: string, epoch: string, next: number): Promise<void> {
    return this.#database.write(['replicas', 'copies'], 'relaxed', async ({ replicas, copies }) => {
      copies.delete(keysOf(topic))
      replicas.put({ v: 1, epoch, next } satisfies State, topic)
    })
  }

  drop(topic: string): Promise<void> {
    return this.#database.write(['replicas', 'copies'], 'relaxed', async ({ replicas, copies }) => {
      copies.delete(keysOf(topic))
      replicas.delete(topic)
    })
  }
}
