import type { ManyOptions } from './queue.ts'
import { QueueNames } from './queue-names.ts'
import type { QueueSide } from './queue-side.ts'
import type { Turns, Worker, Working } from './worker.ts'

export { namesOf } from './queue-names.ts'

/** One worker on many queues, the earlier ones first: loaded by whoever works on several. */

const FIND_MS = 10_000

/** Which of these a queue is one of, from 0; -1 for none. `*` stands for any characters, and what begins with `!` is left out. */
export function rankOf(patterns: readonly string[], queue: string): number {
  if (patterns.some((pattern) => pattern.startsWith('!') && fits(pattern.slice(1), queue))) return -1
  return patterns.findIndex((pattern) => !pattern.startsWith('!') && fits(pattern, queue))
}

function fits(pattern: string, queue: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return pattern === queue
  if (!queue.startsWith(first)) return false
  let at = first.length
  const last = rest.pop() as string
  for (const part of rest) {
    const found = queue.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return queue.length - last.length >= at && queue.endsWith(last)
}

type Begin<T> = (queue: string, turns: Turns) => Working<T>

interface Member<T> {
  readonly queue: string
  readonly rank: number
  readonly worker: Working<T>
  /** Whether its home is asked for jobs. */
  open: boolean
}

/**
 * All its queues are asked for jobs; whose handler is begun next is decided here, among those that have come. As soon as jobs of a queue
 * wait for a handler, those of later queues go back to their homes, where others can have them, and no more are asked for: they would
 * wait here until their leases end.
 */
export class ManyQueues<T> implements Turns {
  readonly #patterns: readonly string[]
  readonly #concurrency: number
  readonly #begin: Begin<T>
  readonly #members: Member<T>[] = []
  readonly #names: QueueNames | undefined
  readonly #done = Promise.withResolvers<void>()
  #running = 0
  #quiet = false
  #stopping: Promise<void> | undefined

  /** @param side of all queues */
  constructor(
    side: QueueSide,
    patterns: readonly string[],
    { concurrency = 1, findMs = FIND_MS, signal }: ManyOptions,
    begin: Begin<T>,
  ) {
    this.#patterns = patterns
    this.#concurrency = concurrency
    this.#begin = begin
    const isGlob = (pattern: string): boolean => !pattern.startsWith('!') && pattern.includes('*')
    for (const pattern of patterns) if (!/[!*]/.test(pattern)) this.#add(pattern)
    if (patterns.some(isGlob))
      this.#names = new QueueNames(side, { beatMs: findMs, found: (queues) => this.#addAll(queues) })
    // It ends also where it has found no queue.
    const stop = (): void => void this.stop()
    signal?.addEventListener('abort', stop)
    void this.done.then(() => signal?.removeEventListener('abort', stop))
    if (signal?.aborted) stop()
  }

  get running(): number {
    return this.#running
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  /** Those that come later, too. */
  hush(quiet: boolean): void {
    this.#quiet = quiet
    for (const { worker } of this.#members) worker[quiet ? 'quiet' : 'resume']()
  }

  /** The earlier ones first, or jobs of a later one would be begun before they are asked. */
  #addAll(queues: readonly string[]): void {
    const ranked = queues.map((queue) => ({ queue, rank: rankOf(this.#patterns, queue) }))
    for (const { queue } of ranked.toSorted((a, b) => a.rank - b.rank)) this.#add(queue)
  }

  #add(queue: string): void {
    const rank = rankOf(this.#patterns, queue)
    if (this.#stopping || rank === -1 || this.#members.some((one) => one.queue === queue)) return
    const member: Member<T> = { queue, rank, worker: this.#begin(queue, this), open: true }
    const behind = this.#members.findIndex((one) => one.rank > rank || (one.rank === rank && one.queue > queue))
    if (this.#quiet) member.worker.quiet()
    this.#members.splice(behind === -1 ? this.#members.length : behind, 0, member)
    // A home in the process may have given it jobs while it was made.
    this.changed()
  }

  // ---- what its workers ask

  begin(): boolean {
    if (this.#running >= this.#concurrency) return false
    this.#running++
    return true
  }

  ended(): void {
    this.#running--
    this.changed()
  }

  changed(): void {
    let waiting = false
    for (const member of this.#members) {
      const { worker } = member
      if (!waiting) worker.next()
      if (member.open === waiting) {
        member.open = !waiting
        worker.turned(waiting)
      }
      waiting ||= worker.waiting > 0
    }
  }

  capacity(worker: object): number | undefined {
    const member = this.#members.find((one) => one.worker === worker)
    return member?.open === false ? member.worker.running : undefined
  }

  stop(options?: Parameters<Worker['stop']>[0]): Promise<void> {
    this.#names?.stop()
    // Each time: those that are stopping already may be given longer, or less.
    const stopped = Promise.all(this.#members.map(({ worker }) => worker.stop(options)))
    this.#stopping ??= stopped.then(() => this.#done.resolve())
    return this.#stopping
  }
}
