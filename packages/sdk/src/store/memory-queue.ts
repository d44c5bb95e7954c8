import type { JobRow, LaneCount, PageBounds, Place, QueueCommit, QueueLoaded, QueueStore } from './queue-store.ts'
import { StoreConflict } from './store.ts'

/** A lane's rows by id, in order of their places while `sorted`. */
interface Lane {
  rows: Map<number, JobRow>
  newest: Place | undefined
  sorted: boolean
}

/** A queue for the life of the process. Answers at once. */
export class MemoryQueueStore implements QueueStore {
  #epoch: string | undefined
  readonly #lanes = new Map<number, Lane>()
  readonly #facts = new Map<string, string>()

  load(newEpoch: string): QueueLoaded {
    this.#epoch ??= newEpoch
    return { epoch: this.#epoch, facts: [...this.#facts] }
  }

  commit({ put, move, remove, facts }: QueueCommit): void {
    for (const { from } of move) this.#at(from)
    for (const place of remove) this.#at(place)
    for (const row of put) this.#add(row)
    for (const { from, to, head, body } of move) {
      const before = this.#at(from)
      this.#remove(from)
      this.#add({ lane: to.lane, due: to.due, id: to.id, head, body: body ?? before.body })
    }
    for (const place of remove) this.#remove(place)
    for (const [name, text] of facts) {
      if (text === null) this.#facts.delete(name)
      else this.#facts.set(name, text)
    }
  }

  durable(): void {}

  page(
    number: number,
    after: Pick<Place, 'due' | 'id'> | undefined,
    { maxJobs, maxBytes }: PageBounds,
  ): readonly JobRow[] {
    const lane = this.#lanes.get(number)
    const page: JobRow[] = []
    if (!lane) return page
    if (!lane.sorted) sort(lane)
    let bytes = 0
    for (const row of lane.rows.values()) {
      if (after && !isBehind(row, after)) continue
      bytes += row.body.length
      if (page.length === maxJobs || (page.length > 0 && bytes > maxBytes)) break
      page.push(row)
    }
    return page
  }

  get(places: readonly Place[]): readonly JobRow[] {
    return places.flatMap((place) => this.#get(place) ?? [])
  }

  since(id: number, lanes: number): readonly JobRow[] {
    return [...this.#lanes].flatMap(([lane, { rows }]) =>
      lane < lanes ? [...rows.values()].filter((row) => row.id >= id) : [],
    )
  }

  find(ids: readonly number[]): readonly JobRow[] {
    return ids.flatMap((id) => [...this.#lanes.values()].find(({ rows }) => rows.has(id))?.rows.get(id) ?? [])
  }

  count(nowMs: number, lanes: readonly number[], most: number): LaneCount[] {
    return lanes.map((lane) => {
      let due = 0
      for (const row of this.#lanes.get(lane)?.rows.values() ?? []) if (row.due <= nowMs) due++
      return { lane, due: Math.min(due, most) }
    })
  }

  #get({ lane, due, id }: Place): JobRow | undefined {
    const row = this.#lanes.get(lane)?.rows.get(id)
    return row?.due === due ? row : undefined
  }

  #at(place: Place): JobRow {
    const row = this.#get(place)
    if (!row) throw new StoreConflict(`job ${place.id} is not at ${place.due} in lane ${place.lane}`)
    return row
  }

  #add(row: JobRow): void {
    let lane = this.#lanes.get(row.lane)
    if (!lane) {
      lane = { rows: new Map(), newest: undefined, sorted: true }
      this.#lanes.set(row.lane, lane)
    }
    if (lane.rows.size > 0 && lane.newest && !isBehind(row, lane.newest)) lane.sorted = false
    else lane.newest = row
    lane.rows.set(row.id, row)
  }

  #remove({ lane, id }: Place): void {
    this.#lanes.get(lane)?.rows.delete(id)
  }
}

function sort(lane: Lane): void {
  const rows = [...lane.rows.values()].sort((a, b) => (isBehind(a, b) ? 1 : -1))
  lane.rows = new Map(rows.map((row) => [row.id, row]))
  lane.newest = rows.at(-1)
  lane.sorted = true
}

function isBehind(a: Pick<Place, 'due' | 'id'>, b: Pick<Place, 'due' | 'id'>): boolean {
  return a.due > b.due || (a.due === b.due && a.id > b.id)
}
