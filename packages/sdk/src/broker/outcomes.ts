import { LIMITS } from '../protocol/limits.ts'

/** What became of a job, as its watchers are told. */
export interface Outcome {
  /** Who enqueued it. */
  readonly by: string
  readonly state: 'completed' | 'dead' | 'cancelled'
  readonly error?: string | undefined
  /** JSON text. */
  readonly result?: string | undefined
}

export interface News {
  readonly id: number
  readonly outcome: Outcome
  readonly links: Iterable<number>
}

/**
 * What became of the newest jobs, and who waits to hear it. In memory alone: whoever asks right after its job was done finds it here,
 * and of jobs that are to be found for longer there is a row.
 */
export class Outcomes {
  /** Two generations, of which the older one goes as a whole: to take out the oldest one by one costs more than all the rest of an ack. */
  #newer = new Map<number, Outcome>()
  #older = new Map<number, Outcome>()
  #bytes = 0
  readonly #watchers = new Map<number, Set<number>>()
  readonly #watched = new Map<number, Set<number>>()
  #news: News[] = []

  get(id: number): Outcome | undefined {
    return this.#newer.get(id) ?? this.#older.get(id)
  }

  note(id: number, outcome: Outcome): void {
    this.#newer.set(id, outcome)
    if (outcome.result !== undefined) this.#bytes += outcome.result.length
    if (outcome.error !== undefined) this.#bytes += outcome.error.length
    if (this.#newer.size > LIMITS.recentJobs / 2 || this.#bytes > LIMITS.recentBytes / 2) {
      this.#older = this.#newer
      this.#newer = new Map()
      this.#bytes = 0
    }
    if (this.#watchers.size === 0) return
    const links = this.#watchers.get(id)
    if (!links) return
    this.#news.push({ id, outcome, links })
    this.#watchers.delete(id)
    for (const link of links) this.#watched.get(link)?.delete(id)
  }

  /** The job is not over after all. */
  reopen(id: number): void {
    this.#newer.delete(id)
    this.#older.delete(id)
  }

  /** What has not been told yet. */
  take(): readonly News[] {
    if (this.#news.length === 0) return NO_NEWS
    const news = this.#news
    this.#news = []
    return news
  }

  watch(link: number, id: number): void {
    entry(this.#watchers, id).add(link)
    entry(this.#watched, link).add(id)
  }

  unwatch(link: number, ids: Iterable<number> = this.watchedBy(link)): void {
    for (const id of ids) {
      const links = this.#watchers.get(id)
      links?.delete(link)
      if (links?.size === 0) this.#watchers.delete(id)
      this.#watched.get(link)?.delete(id)
    }
    if (this.#watched.get(link)?.size === 0) this.#watched.delete(link)
  }

  watchedBy(link: number): readonly number[] {
    return [...(this.#watched.get(link) ?? [])]
  }

  watchersOf(id: number): readonly number[] {
    return this.#watchers.size > 0 ? [...(this.#watchers.get(id) ?? [])] : []
  }
}

const NO_NEWS: readonly News[] = []

function entry(sets: Map<number, Set<number>>, key: number): Set<number> {
  const known = sets.get(key)
  if (known) return known
  const made = new Set<number>()
  sets.set(key, made)
  return made
}
