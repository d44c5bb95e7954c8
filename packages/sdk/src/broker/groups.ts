import { LIMITS } from '../protocol/limits.ts'
import type { JobRow, Place } from '../store/queue-store.ts'
import { groupOf, isBehind, type Job, mostOf, WIDTH } from './job.ts'
import type { QueueQuery } from './queue-machine.ts'

type Point = Pick<Place, 'due' | 'id'>

/** Something that has to be read before it is known which job is next. */
export interface Need {
  readonly query: QueueQuery
  readonly use: (rows: readonly JobRow[]) => void
}

/** A job that waits for its group: its place, and the job itself where there is room to keep it. */
interface Entry extends Point {
  readonly at: number
  readonly until: number
  readonly most: number
  readonly chars: number
  job: Job | undefined
}

interface Group {
  readonly id: string
  held: number
  readonly lines: Map<number, Line>
  /** Where it stands because its next job can go. */
  filed: Set<Group> | undefined
  /** When its next job can go, if it is only time that is missing. */
  wakeAt: number
}

/**
 * Jobs of one lane that wait for their group, in their order. From the gap on, up to its end, only the store knows them: so many jobs
 * of one group take no more memory than some, and are found again by reading from there.
 */
class Line {
  readonly group: Group
  readonly lane: number
  entries: Entry[] = []
  /** Index of the first that counts, to spare shifting. */
  start = 0
  gap: { readonly from: Point; readonly last: Point } | undefined

  constructor(group: Group, lane: number) {
    this.group = group
    this.lane = lane
  }

  get head(): Entry | undefined {
    return this.entries[this.start]
  }

  get size(): number {
    return this.entries.length - this.start
  }

  get over(): boolean {
    return this.size === 0 && this.gap === undefined
  }

  find(place: Point): Entry | undefined {
    const entry = this.entries[this.indexOf(place)]
    return entry?.id === place.id && entry.due === place.due ? entry : undefined
  }

  inGap(place: Point): boolean {
    const { gap } = this
    return gap !== undefined && !isBehind(gap.from, place) && !isBehind(place, gap.last)
  }

  /** Leaves it to the store. */
  skip({ due, id }: Point): void {
    const place = { due, id }
    const { from, last } = this.gap ?? { from: place, last: place }
    this.gap = { from: isBehind(from, place) ? place : from, last: isBehind(place, last) ? place : last }
  }

  /** The gap begins behind this place. */
  reached({ due, id }: Point): void {
    const { gap } = this
    if (!gap) return
    const from = { due, id: id + 1 }
    this.gap = isBehind(from, gap.last) ? undefined : { from, last: gap.last }
  }

  insert(entry: Entry): void {
    const newest = this.entries.at(-1)
    if (this.size === 0 || !newest || isBehind(entry, newest)) this.entries.push(entry)
    else this.entries.splice(this.indexOf(entry), 0, entry)
  }

  remove(place: Point): Entry | undefined {
    const index = this.indexOf(place)
    const entry = this.entries[index]
    if (entry?.id !== place.id || entry.due !== place.due) return undefined
    if (index > this.start) this.entries.splice(index, 1)
    else if (++this.start >= LIMITS.laneJobs || this.start === this.entries.length) {
      this.entries = this.entries.slice(this.start)
      this.start = 0
    }
    return entry
  }

  /** Index of the first entry that does not come before a place. */
  indexOf(place: Point): number {
    let low = this.start
    for (let high = this.entries.length; low < high; ) {
      const middle = (low + high) >> 1
      if (isBehind(place, this.entries[middle] as Entry)) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Whether the first job of one line comes before that of another one of its group. One that is not known has to be read before. */
function comesBefore(a: Line, b: Line): boolean {
  const [first, second] = [a.lane % WIDTH, b.lane % WIDTH]
  if (first !== second) return first < second
  if (!a.head || !b.head) return !a.head
  const [from, to] = [timeOf(a.lane, a.head), timeOf(b.lane, b.head)]
  return from < to || (from === to && a.head.id < b.head.id)
}

const timeOf = (lane: number, { at, due }: Entry): number => (lane < WIDTH ? at : due)

/**
 * Which groups have no room, and which jobs wait for that. Whoever goes along a lane and meets a job of such a group parks it here and
 * goes on, so that nobody waits behind it; a group that gets room has its next job taken from here first. A job is either here or in its
 * lane, never in both. All this is memory: after a restart the lanes are gone along anew, and in the same order.
 */
export class Groups {
  readonly #groups = new Map<string, Group>()
  /** Groups whose next job can go, by its priority; who came first stands first. */
  readonly #free = Array.from({ length: WIDTH }, () => new Set<Group>())
  readonly #waits = new Waits()
  /** Jobs that are kept whole, by id. */
  readonly #kept = new Map<number, Job>()
  #keptChars = 0
  #placeCount = 0
  readonly #resolve: (row: JobRow) => Job
  readonly #isHeld: (id: number) => boolean

  constructor(parts: { resolve: (row: JobRow) => Job; isHeld: (id: number) => boolean }) {
    this.#resolve = parts.resolve
    this.#isHeld = parts.isHeld
  }

  // ---- for who goes along a lane

  /** Whether a job has to wait for others of its group, that are held or come before it. */
  blocks(job: Job, nowMs: number): boolean {
    const id = groupOf(job)
    if (id === undefined) return false
    if (job.until > nowMs) return true
    const group = this.#groups.get(id)
    if (!group) return false
    if (group.held >= mostOf(job)) return true
    for (const { lane } of group.lines.values()) if (lane % WIDTH <= job.lane % WIDTH) return true
    return false
  }

  /** The job waits here from now on. @returns false where more groups wait than can be known */
  park(job: Job): boolean {
    const id = groupOf(job) as string
    if (!this.#groups.has(id) && this.#groups.size >= LIMITS.groups) return false
    const group = this.#group(id)
    const line = this.#line(group, job.lane)
    if (line.inGap(job)) return true
    const known = line.find(job)
    if (known) this.#drop(line, known)
    const newest = line.entries.at(-1)
    // What lies behind the gap is left to the store, too, or it would be taken before what lies in it.
    const beyond = line.gap ? isBehind(job, line.gap.from) : !this.#hasRoom(line) && newest && isBehind(job, newest)
    if (beyond) line.skip(job)
    else this.#insert(line, job)
    this.#file(group)
    return true
  }

  /** Whether a job is here, or left to be found from here. */
  covers(job: Job): boolean {
    const line = this.#lineOf(job)
    return line !== undefined && (line.inGap(job) || line.find(job) !== undefined)
  }

  // ---- what is held

  began(job: Job): void {
    const id = groupOf(job)
    if (id === undefined) return
    const group = this.#group(id)
    group.held++
    this.#file(group)
  }

  ended(job: Job): void {
    const group = this.#groups.get(groupOf(job) ?? '')
    if (!group || groupOf(job) === undefined) return
    group.held--
    this.#file(group)
  }

  /** A job that waits no more: it was taken, or is over, or goes elsewhere. To be told before its place changes. */
  remove(job: Job): void {
    const line = this.#lineOf(job)
    const entry = line?.find(job)
    if (!line || !entry) return
    this.#drop(line, entry)
    this.#file(line.group)
  }

  /** The job, if it waits here and is known whole. */
  find(id: number): Job | undefined {
    return this.#kept.get(id)
  }

  // ---- for who gives jobs away

  /** When a group may go on for which nothing but time is missing. */
  get wakeAt(): number {
    return this.#waits.at
  }

  wake(nowMs: number): void {
    for (const group of this.#waits.take(nowMs)) {
      this.#fileUnder(group, firstOf(group))
    }
  }

  /** The next job of this priority whose group has room, or what has to be read to know it. */
  next(priority: number): Job | Need | undefined {
    for (const group of this.#free[priority] as Set<Group>) {
      const line = firstOf(group) as Line
      const { head } = line
      if (!head) return this.#look(line)
      if (!head.job) return this.#fetch(this.#free[priority] as Set<Group>)
      return head.job
    }
    return undefined
  }

  /** Jobs of which the places are known, as many as fit. */
  #fetch(groups: Iterable<Group>): Need {
    const wanted: { line: Line; entry: Entry }[] = []
    let chars = 0
    for (const group of groups) {
      const line = firstOf(group) as Line
      const entry = line.head
      if (!entry || entry.job) continue
      chars += entry.chars
      if (wanted.length > 0 && (chars > LIMITS.laneBytes || wanted.length === LIMITS.laneJobs)) break
      wanted.push({ line, entry })
    }
    const places = wanted.map(({ line: { lane }, entry: { due, id } }) => ({ lane, due, id }))
    return {
      query: { what: 'get', places },
      use: (rows) => {
        const found = new Map(rows.map((row) => [row.id, this.#resolve(row)]))
        for (const { line, entry } of wanted) {
          if (line.find(entry) !== entry) continue
          const job = found.get(entry.id)
          if (job && isAt(job, line.lane, entry) && !this.#isHeld(job.id)) this.#keep(entry, job)
          else this.#drop(line, entry)
          this.#file(line.group)
        }
      },
    }
  }

  /** From a gap on. Whatever other lines miss from there on is found on the way. */
  #look(line: Line): Need {
    const { lane } = line
    const { from, last } = line.gap as NonNullable<Line['gap']>
    return {
      query: {
        what: 'page',
        lane,
        after: { due: from.due, id: from.id - 1 },
        bounds: { maxJobs: LIMITS.laneJobs, maxBytes: LIMITS.laneBytes },
      },
      use: (rows) => {
        const met = new Set<Line>()
        const full = new Set<Line>()
        for (const row of rows) {
          if (isBehind(row, last)) break
          const job = this.#resolve(row)
          if (!isAt(job, lane, row) || this.#isHeld(job.id)) continue
          const found = this.#lineOf(job)
          if (!found?.inGap(job) || full.has(found) || (!met.has(found) && isBehind(from, found.gap?.from as Point)))
            continue
          met.add(found)
          if (this.#hasRoom(found)) {
            this.#insert(found, job)
            found.reached(job)
          } else full.add(found)
        }
        const end = rows.at(-1)
        if (!end) line.gap = undefined
        else if (!full.has(line)) line.reached(end)
        for (const { group } of met.add(line)) this.#file(group)
      },
    }
  }

  // ---- where they stand

  #group(id: string): Group {
    const known = this.#groups.get(id)
    if (known) return known
    const group: Group = { id, held: 0, lines: new Map(), filed: undefined, wakeAt: 0 }
    this.#groups.set(id, group)
    return group
  }

  #line(group: Group, lane: number): Line {
    const known = group.lines.get(lane)
    if (known) return known
    const line = new Line(group, lane)
    group.lines.set(lane, line)
    return line
  }

  #lineOf(job: Job): Line | undefined {
    const id = groupOf(job)
    return id === undefined ? undefined : this.#groups.get(id)?.lines.get(job.lane)
  }

  #hasRoom(line: Line): boolean {
    return line.size < LIMITS.groupJobs || this.#placeCount < LIMITS.groupPlaces
  }

  #insert(line: Line, job: Job): void {
    const { due, id, at, until, body } = job
    const entry: Entry = { due, id, at, until, most: mostOf(job), chars: body.length, job: undefined }
    line.insert(entry)
    this.#placeCount++
    if (this.#kept.size < LIMITS.laneJobs && this.#keptChars + body.length <= LIMITS.laneBytes) this.#keep(entry, job)
  }

  #keep(entry: Entry, job: Job): void {
    entry.job = job
    this.#kept.set(job.id, job)
    this.#keptChars += entry.chars
  }

  #drop(line: Line, entry: Entry): void {
    line.remove(entry)
    this.#placeCount--
    if (entry.job && this.#kept.delete(entry.id)) this.#keptChars -= entry.chars
    entry.job = undefined
  }

  /** Puts a group where it belongs after something of it has changed. */
  #file(group: Group): void {
    for (const line of group.lines.values()) if (line.over) group.lines.delete(line.lane)
    const line = firstOf(group)
    if (!line && group.held === 0) this.#groups.delete(group.id)
    const head = line?.head
    // Of a job that is not known yet it is not known how many may be held beside it.
    const full = line === undefined || (head !== undefined && group.held >= head.most)
    const wakeAt = full ? 0 : (head?.until ?? 0)
    if (wakeAt !== group.wakeAt) {
      group.wakeAt = wakeAt
      if (wakeAt > 0) this.#waits.add(group)
    }
    this.#fileUnder(group, full || wakeAt > 0 ? undefined : line)
  }

  #fileUnder(group: Group, line: Line | undefined): void {
    const to = line && this.#free[line.lane % WIDTH]
    if (group.filed === to) return
    group.filed?.delete(group)
    group.filed = to
    to?.add(group)
  }
}

const isAt = (job: Job, lane: number, { due, id }: Point): boolean =>
  !job.gone && job.lane === lane && job.due === due && job.id === id

function firstOf({ lines }: Group): Line | undefined {
  let first: Line | undefined
  for (const line of lines.values()) if (!first || comesBefore(line, first)) first = line
  return first
}

/** Groups by when they may go on: a heap, in which those that wait for something else by now are passed over. */
class Waits {
  #heap: { readonly at: number; readonly group: Group }[] = []

  get at(): number {
    for (let top = this.#heap[0]; top; top = this.#heap[0]) {
      if (top.group.wakeAt === top.at) return top.at
      this.#pop()
    }
    return Number.POSITIVE_INFINITY
  }

  add(group: Group): void {
    if (this.#heap.length > 2 * LIMITS.groups) this.#tidy()
    this.#push(group)
  }

  /** Only what is still waited for. */
  #tidy(): void {
    const waiting = new Set(this.#heap.flatMap(({ at, group }) => (group.wakeAt === at ? [group] : [])))
    this.#heap = []
    for (const group of waiting) this.#push(group)
  }

  #push(group: Group): void {
    const heap = this.#heap
    const one = { at: group.wakeAt, group }
    let index = heap.push(one) - 1
    while (index > 0) {
      const above = (index - 1) >> 1
      const other = heap[above] as typeof one
      if (other.at <= one.at) break
      heap[index] = other
      index = above
    }
    heap[index] = one
  }

  take(nowMs: number): Group[] {
    const groups: Group[] = []
    while (this.at <= nowMs) {
      const { group } = this.#heap[0] as { group: Group }
      group.wakeAt = 0
      groups.push(group)
      this.#pop()
    }
    return groups
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let index = 0
    for (;;) {
      let below = 2 * index + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && (heap[below + 1] as typeof last).at < (heap[below] as typeof last).at) below++
      const other = heap[below] as typeof last
      if (last.at <= other.at) break
      heap[index] = other
      index = below
    }
    heap[index] = last
  }
}
