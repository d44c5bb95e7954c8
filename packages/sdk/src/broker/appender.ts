import { LINE_BREAK } from '../protocol/codec.ts'
import type { Run, RunExtras } from '../protocol/frames/deliver.ts'
import { LIMITS } from '../protocol/limits.ts'
import { utf8Bytes } from '../protocol/text.ts'
import type { Chunk } from '../store/store.ts'
import { cutExtras, cutLines } from './range.ts'

/** Messages of one publisher that were accepted together. */
export interface Part {
  readonly user: string
  readonly publisher: string
  readonly first: number
  readonly count: number
  readonly extras: RunExtras | undefined
  readonly body: string
  readonly bytes: number
}

/** What a sealed commit writes, and the same as new chunks for those who follow the log's end. */
export interface Sealed {
  readonly replaceTail?: Chunk
  readonly append: readonly Chunk[]
  readonly fresh: readonly Chunk[]
}

/** A row in the making. */
interface Row {
  readonly first: number
  next: number
  readonly runs: Run[]
  readonly users: string[]
  readonly bodies: string[]
  bytes: number
  /** What its runs come to at most. */
  runBytes: number
}

/** A run without extras: a publisher's id, a sequence, a count and a time. */
const RUN_BYTES = LIMITS.publisherChars + 48

/** Positions and times of a chunk are worth this many bytes, so that many tiny chunks count for credit, too. */
const CHUNK_BYTES = 64

/**
 * Gives offsets to what is accepted and makes rows of it. Everything offered between two seals forms one commit and bears
 * the time of its first message.
 */
export class Appender {
  #head: number
  #bytes: number
  #tail: Chunk | undefined
  #rows: Row[] = []
  #at = 0
  #waitingBytes = 0

  constructor(start: { head: number; bytes: number; tail: Chunk | undefined }) {
    this.#head = start.head
    this.#bytes = start.bytes
    this.#tail = start.tail
  }

  /** Bytes offered and not sealed, with what is kept beside the payloads. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get empty(): boolean {
    return this.#rows.length === 0
  }

  /** Offset that the next message gets. */
  get head(): number {
    return this.#head
  }

  /** Byte position behind everything that is sealed. */
  get bytes(): number {
    return this.#bytes
  }

  /** @returns the time its messages bear */
  offer(part: Part, now: number): number {
    if (this.empty) this.#at = now
    const runBytes = runBytesOf(part)
    this.#waitingBytes += part.bytes + runBytes
    this.#place(part, runBytes)
    return this.#at
  }

  #place(part: Part, runBytes: number): void {
    if (part.bytes + runBytes > LIMITS.rowBytes && part.count > 1) {
      for (const half of halves(part)) this.#place(half, runBytesOf(half))
      return
    }
    const bytes = part.bytes + LINE_BREAK.length
    let row = this.#rows.at(-1)
    if (!row || row.bytes + row.runBytes + bytes + runBytes > LIMITS.rowBytes) {
      row = { first: this.#head, next: this.#head, runs: [], users: [], bodies: [], bytes: 0, runBytes: 0 }
      this.#rows.push(row)
    }
    const run = row.runs.at(-1)
    if (
      run &&
      !part.extras &&
      !run[4] &&
      run[0] === part.publisher &&
      run[1] + run[2] === part.first &&
      row.users.at(-1) === part.user
    )
      run[2] += part.count
    else {
      row.runs.push(
        part.extras
          ? [part.publisher, part.first, part.count, this.#at, part.extras]
          : [part.publisher, part.first, part.count, this.#at],
      )
      row.users.push(part.user)
      row.runBytes += runBytes
    }
    row.bodies.push(part.body)
    row.bytes += bytes
    row.next = this.#head += part.count
  }

  /** A row that begins below is deleted, so it cannot be made longer. */
  trimmed(below: number): void {
    if (this.#tail && this.#tail.first < below) this.#tail = undefined
  }

  seal(): Sealed {
    const fresh = this.#rows.map((row) => this.#chunk(row))
    this.#rows = []
    this.#waitingBytes = 0
    const [only] = fresh
    const tail = this.#tail
    if (
      only &&
      fresh.length === 1 &&
      tail &&
      tail.size + only.size <= LIMITS.tailBytes &&
      only.at - tail.at <= LIMITS.tailMs
    ) {
      this.#tail = extend(tail, only)
      return { replaceTail: this.#tail, append: [], fresh }
    }
    this.#tail = fresh.at(-1) ?? tail
    return { append: fresh, fresh }
  }

  #chunk(row: Row): Chunk {
    const runs = JSON.stringify(row.runs).slice(1, -1)
    const size = row.bytes + utf8Bytes(runs) + CHUNK_BYTES
    const start = this.#bytes
    this.#bytes += size
    return {
      first: row.first,
      next: row.next,
      at: this.#at,
      start,
      size,
      runs,
      users: JSON.stringify(row.users),
      body: row.bodies.join(LINE_BREAK),
    }
  }
}

/** At most what a part adds to its row besides its payloads. */
function runBytesOf({ user, extras }: Part): number {
  return RUN_BYTES + utf8Bytes(user) + (extras ? utf8Bytes(JSON.stringify(extras)) : 0)
}

function extend(tail: Chunk, more: Chunk): Chunk {
  return {
    ...tail,
    next: more.next,
    size: tail.size + more.size,
    runs: `${tail.runs},${more.runs}`,
    users: `${tail.users.slice(0, -1)},${more.users.slice(1)}`,
    body: tail.body + LINE_BREAK + more.body,
  }
}

/** A frame may be larger than a row. Halving ends, since one message always fits. */
function halves(part: Part): [Part, Part] {
  const middle = part.count >> 1
  const piece = (from: number, to: number): Part => {
    const body = cutLines(part.body, from, to)
    const extras = part.extras && cutExtras(part.extras, from, to)
    return { ...part, first: part.first + from, count: to - from, extras, body, bytes: utf8Bytes(body) }
  }
  return [piece(0, middle), piece(middle, part.count)]
}
