import type { JobRow, Place, QueueCommit } from '../store/queue-store.ts'
import { type Job, LANES } from './job.ts'

/**
 * Which job has which key. Each key that counts is a row of its own, among the jobs and in a lane that nobody claims from, at a place
 * that the key itself says: so it is looked up by place, and none of them is kept in memory or read at waking. It is written in the
 * commits that write its job, and so never says anything else than that: a job that waits or is held has its key as long as its head says so.
 */
export interface KeyState {
  readonly text: string
  readonly id: number
  /** Where its job waits; {@link DONE} once it is over, with the time until which the key still counts as `due`. */
  readonly lane: number
  readonly due: number
}

const DONE = -1

/** A key as it was changed. `stored`: it has a row once all that was sealed is written. */
interface Entry {
  stored: boolean
  state: KeyState | undefined
}

export const isOver = ({ lane }: KeyState): boolean => lane === DONE

/** Whether nothing is in the way of somebody who wants to have the key. */
export const isFree = (state: KeyState | undefined, nowMs: number): boolean =>
  state === undefined || (isOver(state) && state.due <= nowMs)

/** Rows by place. Two keys can want one place, though not by chance. */
export class Found {
  readonly #keys = new Map<string, KeyState>()
  readonly jobs = new Map<number, JobRow>()
  /** Those that were at hand: what comes before them in their frame may push them out of their lane. */
  readonly atHand = new Map<number, Job>()

  constructor(rows: readonly JobRow[]) {
    for (const row of rows) {
      if (row.lane === LANES.keys) this.#keys.set(`${row.due} ${row.id}`, stateOf(row))
      else this.jobs.set(row.id, row)
    }
  }

  at({ due, id }: Place): KeyState | undefined {
    return this.#keys.get(`${due} ${id}`)
  }
}

export class Keys {
  #dirty = new Map<string, Entry>()
  /** While the store is asked: what was changed meanwhile. */
  readonly #touched = new Map<string, Entry>()
  readonly #isReading: () => boolean

  constructor(isReading: () => boolean) {
    this.#isReading = isReading
  }

  get empty(): boolean {
    return this.#dirty.size === 0
  }

  /** Who has the key, as it stands now; `clash` where another key is at its place. */
  find(text: string, found: Found): KeyState | undefined | 'clash' {
    const known = this.#dirty.get(text) ?? this.#touched.get(text)
    if (known) return known.state
    const state = found.at(placeOf(text))
    if (!state) return undefined
    return state.text === text ? state : 'clash'
  }

  take(state: KeyState, stored: boolean): void {
    this.#set(state.text, state, stored)
  }

  /** The job is over. @returns until when its key counts all the same */
  free({ id, at, options }: Job, nowMs: number): number {
    const { key: text, mode, ttlMs = 0 } = options.dedupe as NonNullable<typeof options.dedupe>
    const counts = mode === 'drop' && at + ttlMs > nowMs
    this.#set(text, counts ? { text, id, lane: DONE, due: at + ttlMs } : undefined, true)
    return counts ? at + ttlMs : Number.POSITIVE_INFINITY
  }

  /** The key of a row does not count any more. @returns whether it is gone with this */
  sweep(row: JobRow, nowMs: number): boolean {
    const state = stateOf(row)
    if (this.#dirty.has(state.text) || this.#touched.has(state.text) || !isFree(state, nowMs)) return false
    this.#set(state.text, undefined, true)
    return true
  }

  #set(text: string, state: KeyState | undefined, stored: boolean): void {
    const entry = this.#dirty.get(text) ?? this.#touched.get(text) ?? { stored, state }
    entry.state = state
    this.#dirty.set(text, entry)
    if (this.#isReading()) this.#touched.set(text, entry)
  }

  /** An answer of the store has been used, and none other is awaited. */
  read(): void {
    this.#touched.clear()
  }

  seal(put: JobRow[], move: QueueCommit['move'][number][], remove: Place[]): void {
    for (const [text, entry] of this.#dirty) {
      const { state, stored } = entry
      const place = placeOf(text)
      if (state) {
        const head = JSON.stringify([text, state.id, state.lane, state.due])
        if (stored) move.push({ from: place, to: place, head })
        else put.push({ ...place, head, body: '' })
      } else if (stored) remove.push(place)
      entry.stored = state !== undefined
    }
    this.#dirty = new Map()
  }
}

/** When a key that a job had stops to count, and `undefined` where that is not known yet. */
export function countsUntil(row: JobRow): number | undefined {
  const state = stateOf(row)
  return isOver(state) ? state.due : undefined
}

function stateOf({ head }: JobRow): KeyState {
  const [text, id, lane, due] = JSON.parse(head) as [string, number, number, number]
  return { text, id, lane, due }
}

/** Where a key lies: two halves of a hash. The second is above every id that a job can have. */
export function placeOf(text: string): Place {
  return { lane: LANES.keys, due: hash(text, 0x2545f491), id: 2 ** 52 + hash(text, 0x9e3779b9) }
}

/** 52 bits; cyrb53 of the public domain, cut. */
function hash(text: string, seed: number): number {
  let high = 0xdeadbeef ^ seed
  let low = 0x41c6ce57 ^ seed
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    high = Math.imul(high ^ unit, 2654435761)
    low = Math.imul(low ^ unit, 1597334677)
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909)
  return (high & 0xfffff) * 2 ** 32 + (low >>> 0)
}
