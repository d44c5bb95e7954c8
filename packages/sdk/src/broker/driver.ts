import type { LogStore, Maybe } from '../store/store.ts'
import type { LogEffect, LogEvent } from './machine.ts'

/** Whatever turns events into effects. */
export interface Machine {
  step(event: LogEvent, nowMs: number): readonly LogEffect[]
}

/** Effects that are not the store's: sockets, attachments, alarms. */
export type Perform = (effect: Exclude<LogEffect, { name: 'commit' | 'read' }>) => void

/**
 * Carries a log's effects out, and is the only place that knows whether its store answers at once or later. Events are
 * queued, so that answers that come at once do not recurse.
 */
export function drive(
  machine: Machine,
  store: LogStore,
  { perform, now }: { perform: Perform; now: () => number },
): (event: LogEvent) => void {
  const queue: LogEvent[] = []
  let running = false
  let ended = false

  function post(event: LogEvent): void {
    if (ended) return
    queue.push(event)
    if (running) return
    running = true
    try {
      for (let i = 0; i < queue.length; i++) for (const effect of machine.step(queue[i] as LogEvent, now())) run(effect)
    } catch (error) {
      // A mistake of ours: what the machine believes is not to be trusted any more.
      // A commit that is still on its way must not make it go on.
      ended = true
      perform({ name: 'failed', error })
    } finally {
      queue.length = 0
      running = false
    }
  }

  function run(effect: LogEffect): void {
    if (effect.name === 'commit') {
      const { commit, write } = effect
      attempt(
        () => after(store.commit(write), () => store.durable()),
        () => post({ name: 'durable', commit }),
        (error) => post({ name: 'commit-failed', commit, error }),
      )
    } else if (effect.name === 'read') {
      const { reader, direction, offset, maxBytes } = effect
      attempt(
        () => (direction === 'on' ? store.read(offset, maxBytes) : store.readBefore(offset, maxBytes)),
        (chunks) => post({ name: 'chunks-read', reader, chunks }),
        (error) => post({ name: 'read-failed', reader, error }),
      )
    } else perform(effect)
  }

  return post
}

function after<T, U>(value: Maybe<T>, then: (value: T) => Maybe<U>): Maybe<U> {
  return value instanceof Promise ? value.then(then) : then(value)
}

function attempt<T>(ask: () => Maybe<T>, done: (value: T) => void, failed: (error: unknown) => void): void {
  let answer: Maybe<T>
  try {
    answer = ask()
  } catch (error) {
    failed(error)
    return
  }
  if (answer instanceof Promise) answer.then(done, failed)
  else done(answer)
}
