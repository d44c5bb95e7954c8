import type { Mess } from './mess.ts'

/** The queues that a client knows of: those of which it has a handle, and what a home that is asked for its queues may add. */
export class QueueNames {
  readonly #names = new Set<string>()
  readonly #watchers = new Set<(queue: string) => void>()

  add(queue: string): void {
    if (this.#names.has(queue)) return
    this.#names.add(queue)
    for (const found of [...this.#watchers]) found(queue)
  }

  known(): string[] {
    return [...this.#names].sort()
  }

  /** Tells of each that there is, at once, and of those that come later. @returns what ends that */
  watch(found: (queue: string) => void): () => void {
    this.#watchers.add(found)
    for (const queue of this.known()) found(queue)
    return () => this.#watchers.delete(found)
  }
}

const namesByClient = new WeakMap<Mess, QueueNames>()

export function namesOf(mess: Mess): QueueNames {
  const known = namesByClient.get(mess) ?? new QueueNames()
  namesByClient.set(mess, known)
  return known
}
