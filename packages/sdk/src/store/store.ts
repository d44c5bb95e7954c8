/**
 * One log's memory, as its broker sees it. A store may answer at once (SQLite, memory) or later (IndexedDB); only the driver
 * knows which. It keeps rows and decides nothing.
 */
export type Maybe<T> = T | Promise<T>

/** One row of a log: what one commit appended, or several small ones. `runs` and `body` are wire text. */
export interface Chunk {
  /** Offset of its first message, and the one after its last. */
  readonly first: number
  readonly next: number
  /** When its first message was appended, in ms since 1970. Later than the chunk before it, never earlier. */
  readonly at: number
  /** The log's byte position at `first`, and the bytes from there to `next`: the measure of credit and of retention. */
  readonly start: number
  readonly size: number
  /** `[publisher, first sequence, count, time, extras?]`, joined by `,`. */
  readonly runs: string
  /** The user of each run as a JSON array; stays on the server. */
  readonly users: string
  /** Payload texts joined by `,` and a line break. */
  readonly body: string
}

/** A chunk without its payloads: enough to learn publishers and retention from. */
export type ChunkHead = Omit<Chunk, 'body'>

export interface Commit {
  /** The offset and the term at which the commit was decided. A store with several writers compares them in its transaction. */
  readonly expect: { readonly head: number; readonly term: number }
  /** The last row, made longer in place. */
  readonly replaceTail?: Chunk
  readonly append: readonly Chunk[]
  /** Every chunk that lies wholly below is deleted. */
  readonly trimBelow?: number
  /** Rows of the checkpoint, by bucket; others stay as they are. */
  readonly checkpoint?: readonly (readonly [bucket: number, text: string])[]
}

/** What a broker needs to go on: the checkpoint and what came after it. Bounded, however long the log is. */
export interface Loaded {
  readonly epoch: string
  readonly checkpoint: readonly (readonly [bucket: number, text: string])[]
  /** All chunks from `checkpointAt` (see `checkpoint.ts`) on, oldest first. */
  readonly heads: readonly ChunkHead[]
  readonly tail: Chunk | undefined
}

export interface LogStore {
  /** @param newEpoch names the log if it does not exist yet; then it is made and the name is durable with the first `durable()` */
  load(newEpoch: string): Maybe<Loaded>
  /** All or nothing. */
  commit(commit: Commit): Maybe<void>
  /** Resolves once everything committed so far is as durable as this store gets. */
  durable(): Maybe<void>
  /** Chunks that reach beyond `from`, oldest first: at least one if there is any, then more while they fit in `maxBytes`. */
  read(from: number, maxBytes: number): Maybe<readonly Chunk[]>
  /** The same backwards: chunks that begin before `to`, oldest first. */
  readBefore(to: number, maxBytes: number): Maybe<readonly Chunk[]>
}

/** Another writer was here: the head or the term in the store is not the one that the commit was decided on. */
export class StoreConflict extends Error {
  override readonly name = 'StoreConflict'
}

/** The device or the quota has no room left; nothing of the commit was written. */
export class StoreFull extends Error {
  override readonly name = 'StoreFull'
}
