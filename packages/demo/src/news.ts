import type { Change } from './change.ts'
import type { Changes } from './list.ts'

/** What others do to a list while it is looked at; what they did before is no news. */
export class News {
  readonly #since = new Date()
  #read = -1
  #news: Change[] = []

  read(changes: Changes): void {
    const newest = newestOffset(changes)
    // A log that was started anew counts from the beginning.
    if (newest < this.#read) this.#read = -1
    for (const entry of changes.slice(firstBehind(changes, this.#read))) {
      if (!entry.pending && !entry.own && entry.at >= this.#since) this.#news.push(entry.data)
    }
    this.#read = newest
  }

  /** Oldest first, each once. */
  take(): Change[] {
    return this.#news.splice(0)
  }
}

/** −1 if nothing is stored, as far as this page has heard. */
export function newestOffset(changes: Changes): number {
  const newest = changes.findLast(({ pending }) => !pending)
  return newest && !newest.pending ? newest.offset : -1
}

function firstBehind(changes: Changes, offset: number): number {
  return changes.findLastIndex((entry) => !entry.pending && entry.offset <= offset) + 1
}
