import type { Maybe } from '../store/store.ts'

/** Whatever turns events into effects. */
export interface Machine<E, X> {
  step(event: E, nowMs: number): readonly X[]
}

/** What every machine asks of its store, and hears from it. `W` is what a commit writes, `Q` what is read. */
export type StoreEffect<W, Q> = CommitEffect<W> | ReadEffect<Q>

interface CommitEffect<W> {
  readonly name: 'commit'
  readonly commit: number
  readonly write: W
}

type ReadEffect<Q> = Q & { readonly name: 'read'; readonly reader: number }

export type StoreEvent =
  | { readonly name: 'durable'; readonly commit: number }
  | { readonly name: 'commit-failed'; readonly commit: number; readonly error: unknown }
  | { readonly name: 'read-failed'; readonly reader: number; readonly error: unknown }

/** The machine does not know any more what is stored: throw it away and load it anew. */
export interface Failed {
  readonly name: 'failed'
  readonly error: unknown
}

/** A store as a machine uses it. */
export interface Storing<W, Q, E> {
  commit(write: W): Maybe<void>
  durable(): Maybe<void>
  /** @returns the event that brings what was read */
  read(effect: ReadEffect<Q>): Maybe<E>
}

/**
 * Carries a machine's effects out, and is the only place that knows whether its store answers at once or later. Events are
 * queued, so that answers that come at once do not recurse. `perform` does what is not the store's: sockets, attachments, alarms.
 */
export function drive<W, Q, E, X extends { readonly name: string }>(
  machine: Machine<E | StoreEvent, StoreEffect<W, Q> | Failed | X>,
  store: Storing<W, Q, E>,
  { perform, now }: { perform: (effect: Failed | X) => void; now: () => number },
): (event: E) => void {
  const queue: (E | StoreEvent)[] = []
  let running = false
  let ended = false

  function post(event: E | StoreEvent): void {
    if (ended) return
    queue.push(event)
    if (running) return
    running = true
    try {
      for (let i = 0; i < queue.length; i++)
        for (const effect of machine.step(queue[i] as E | StoreEvent, now())) run(effect)
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

  function run(effect: StoreEffect<W, Q> | Failed | X): void {
    if (effect.name === 'commit') {
      const { commit, write } = effect as CommitEffect<W>
      attempt(
        () => after(store.commit(write), () => store.durable()),
        () => post({ name: 'durable', commit }),
        (error) => post({ name: 'commit-failed', commit, error }),
      )
    } else if (effect.name === 'read') {
      const asked = effect as ReadEffect<Q>
      attempt(
        () => store.read(asked),
        (answer) => post(answer),
        (error) => post({ name: 'read-failed', reader: asked.reader, error }),
      )
    } else perform(effect as Failed | X)
  }

  return post
}

export function after<T, U>(value: Maybe<T>, then: (value: T) => Maybe<U>): Maybe<U> {
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
