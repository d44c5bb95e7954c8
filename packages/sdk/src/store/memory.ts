import { checkpointAt } from '../broker/checkpoint.ts'
import type { Chunk, Commit, Loaded, LogStore } from './store.ts'
import { StoreConflict } from './store.ts'

/** A log for the life of the process. Answers at once. */
export class MemoryStore implements LogStore {
  #epoch: string | undefined
  #chunks: Chunk[] = []
  readonly #checkpoint = new Map<number, string>()

  load(newEpoch: string): Loaded {
    this.#epoch ??= newEpoch
    const checkpoint = [...this.#checkpoint]
    const since = checkpointAt(checkpoint)
    return {
      epoch: this.#epoch,
      checkpoint,
      heads: this.#chunks.filter((chunk) => chunk.next > since),
      tail: this.#chunks.at(-1),
    }
  }

  commit({ expect, replaceTail, append, trimBelow, checkpoint }: Commit): void {
    // Once everything was trimmed, only the checkpoint still knows where the log ends.
    const tail = this.#chunks.at(-1)
    const head = tail?.next ?? checkpointAt([...this.#checkpoint])
    if (head !== expect.head) throw new StoreConflict(`the log ends at ${head}, not at ${expect.head}`)
    if (replaceTail && replaceTail.first !== tail?.first)
      throw new StoreConflict(`the row at ${replaceTail.first}, which was to be made longer, is not there`)
    if (replaceTail) this.#chunks[this.#chunks.length - 1] = replaceTail
    this.#chunks.push(...append)
    for (const [bucket, text] of checkpoint ?? []) this.#checkpoint.set(bucket, text)
    if (trimBelow !== undefined) this.#chunks.splice(0, this.#indexOf(trimBelow))
  }

  durable(): void {}

  read(from: number, maxBytes: number): readonly Chunk[] {
    const start = this.#indexOf(from)
    let end = start
    for (let bytes = 0; end < this.#chunks.length && (end === start || bytes + this.#at(end).size <= maxBytes); end++)
      bytes += this.#at(end).size
    return this.#chunks.slice(start, end)
  }

  readBefore(to: number, maxBytes: number): readonly Chunk[] {
    let end = this.#indexOf(to)
    if (end < this.#chunks.length && this.#at(end).first < to) end++
    let start = end
    for (let bytes = 0; start > 0 && (start === end || bytes + this.#at(start - 1).size <= maxBytes); start--)
      bytes += this.#at(start - 1).size
    return this.#chunks.slice(start, end)
  }

  #at(index: number): Chunk {
    return this.#chunks[index] as Chunk
  }

  /** Index of the first chunk that reaches beyond an offset. */
  #indexOf(offset: number): number {
    let low = 0
    for (let high = this.#chunks.length; low < high; ) {
      const middle = (low + high) >> 1
      if (this.#at(middle).next <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
