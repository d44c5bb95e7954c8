import type { Fault } from '../protocol/error-codes.ts'
import { fault } from '../protocol/error-codes.ts'
import type { BadRequest, Request } from '../protocol/requests.ts'
import type { Commit, Loaded, LogStore, Maybe } from '../store/store.ts'
import { after, drive, type Failed, type Machine, type StoreEffect, type StoreEvent, type Storing } from './driver.ts'
import { type Identity, type LinkState, type LogEvent, NOBODY, type Page } from './machine.ts'
import { TopicLog, type TopicLogOptions } from './topic-log.ts'

/** The broker's end of one link: what a home can do to it. Each may fail silently once the peer is gone. */
export interface Port<S = LinkState> {
  send(text: string): void
  close(code: number, reason: string): void
  /** Keep the state where it outlives this object. Left out where the link does not outlive it. */
  remember?(state: S): void
}

/** What happens to every home: links come, speak and go. `S` is a link's state, `F` a frame. */
export type HomeEvent<S, F> =
  | { readonly name: 'opened'; readonly link: number; readonly state: S }
  | { readonly name: 'frame'; readonly link: number; readonly frame: F }
  /** `left`: whoever was there will not come back, and has said so. */
  | { readonly name: 'closed'; readonly link: number; readonly left?: boolean }
  | { readonly name: 'verified'; readonly link: number; readonly id: number; readonly identity: Identity | Fault }
  /** What the link's user may do has been worked out anew. */
  | { readonly name: 'judged'; readonly link: number; readonly identity: Identity }
  | { readonly name: 'due' }

export type HomeEffect<S> =
  /** One text for every link named. */
  | { readonly name: 'send'; readonly links: readonly number[]; readonly text: string }
  /** The link's state, for a home that may forget everything else. */
  | { readonly name: 'remember'; readonly link: number; readonly state: S }
  | { readonly name: 'close'; readonly link: number; readonly code: number; readonly reason: string }
  /** Check a token and answer with `verified`. */
  | { readonly name: 'verify'; readonly link: number; readonly id: number; readonly token: string }
  /** Come back with `due` at this time, or before. */
  | { readonly name: 'wake-at'; readonly at: number }
  /** Come back with `due` in a moment, in this life. */
  | { readonly name: 'linger' }

/** What the shell around a home gives it. */
export interface Shell<F> {
  /** Text → request: with validation at a server's border, without it among the tabs of one origin. */
  readonly decode: (text: string) => F | BadRequest
  readonly now: () => number
  readonly wakeAt?: (at: number) => void
  /** Calls back in a few ms. Left out where a commit costs too little to wait for company. */
  readonly linger?: (back: () => void) => void
  readonly verify?: (token: string, link: number) => Promise<Identity | Fault>
  /** Told after a failure, when every link has been closed; the next link loads everything anew. */
  readonly onFailed?: (error: unknown) => void
}

/** Loads a machine, which may take a while, together with the store that it goes on with. */
export interface Residence<W, Q, E, X> {
  readonly load: () => Maybe<Machine<E | StoreEvent, StoreEffect<W, Q> | Failed | X>>
  readonly store: Storing<W, Q, E>
}

/**
 * A machine at home: its store and its links, wherever that is (a process, a leading tab, a Durable Object). Loads at the
 * first link, and again after a failure; what arrives meanwhile waits in order.
 */
export class Home<S, F, W, Q, E> {
  readonly #shell: Shell<F>
  readonly #residence: Residence<W, Q, E | HomeEvent<S, F | BadRequest>, HomeEffect<S>>
  readonly #ports = new Map<number, Port<S>>()
  #lastLink = 0
  #post: ((event: HomeEvent<S, F | BadRequest>) => void) | undefined
  #early: HomeEvent<S, F | BadRequest>[] | undefined

  constructor(shell: Shell<F>, residence: Residence<W, Q, E | HomeEvent<S, F | BadRequest>, HomeEffect<S>>) {
    this.#shell = shell
    this.#residence = residence
  }

  get linkCount(): number {
    return this.#ports.size
  }

  /** @returns the link's number, never used again in this home */
  attach(port: Port<S>, state: S): number {
    const link = ++this.#lastLink
    this.#ports.set(link, port)
    this.#tell({ name: 'opened', link, state })
    return link
  }

  receive(link: number, text: string): void {
    if (this.#ports.has(link)) this.#tell({ name: 'frame', link, frame: this.#shell.decode(text) })
  }

  /** @param left whether its peer has said that it will not come back */
  detach(link: number, left = false): void {
    if (this.#ports.delete(link)) this.#tell({ name: 'closed', link, left })
  }

  /** What a link's user may do has changed. */
  judge(link: number, identity: Identity): void {
    if (this.#ports.has(link)) this.#tell({ name: 'judged', link, identity })
  }

  due(): void {
    this.#tell({ name: 'due' })
  }

  #tell(event: HomeEvent<S, F | BadRequest>): void {
    if (this.#post) this.#post(event)
    else if (this.#early) this.#early.push(event)
    else this.#load(event)
  }

  #load(first: HomeEvent<S, F | BadRequest>): void {
    this.#early = [first]
    const { load, store } = this.#residence
    const ready = (machine: Awaited<ReturnType<typeof load>>): void => {
      const early = this.#early ?? []
      const post = drive(machine, store, { now: this.#shell.now, perform: (effect) => this.#perform(effect) })
      // What an answer provokes stands in line, too, or it would overtake what its link sent before.
      for (let i = 0; i < early.length; i++) post(early[i] as (typeof early)[number])
      if (this.#early !== early) return
      this.#early = undefined
      this.#post = post
    }
    settle(load, ready, (error) => this.#failed(error))
  }

  #perform(effect: HomeEffect<S> | Failed): void {
    switch (effect.name) {
      case 'send':
        for (const link of effect.links) this.#ports.get(link)?.send(effect.text)
        return
      case 'remember':
        this.#ports.get(effect.link)?.remember?.(effect.state)
        return
      case 'close': {
        const port = this.#ports.get(effect.link)
        this.#ports.delete(effect.link)
        port?.close(effect.code, effect.reason)
        return
      }
      case 'verify': {
        const { link, id, token } = effect
        const answer = (identity: Identity | Fault) => this.#tell({ name: 'verified', link, id, identity })
        if (this.#shell.verify) this.#shell.verify(token, link).then(answer, () => answer(fault('internal')))
        else answer(NOBODY)
        return
      }
      case 'wake-at':
        this.#shell.wakeAt?.(effect.at)
        return
      case 'linger':
        this.#shell.linger?.(() => this.due())
        return
      case 'failed':
        this.#failed(effect.error)
    }
  }

  #failed(error: unknown): void {
    this.#post = undefined
    this.#early = undefined
    for (const [link, port] of [...this.#ports]) {
      this.#ports.delete(link)
      port.close(4008, 'commit_failed')
    }
    this.#shell.onFailed?.(error)
  }
}

function settle<T>(ask: () => Maybe<T>, done: (value: T) => void, failed: (error: unknown) => void): void {
  try {
    const answer = ask()
    // What fails in `done` is a failure, too: rows of a log that cannot be read.
    if (answer instanceof Promise) answer.then(done).catch(failed)
    else done(answer)
  } catch (error) {
    failed(error)
  }
}

export interface HomeOptions extends TopicLogOptions, Shell<Request> {
  readonly store: LogStore
  /** Names the log if it is new. */
  readonly newEpoch: () => string
}

/** One topic at home: the log, its store and its links. */
export class TopicHome extends Home<LinkState, Request, Commit, Page, LogEvent> {
  constructor(options: HomeOptions) {
    const { store, newEpoch } = options
    super(options, {
      load: () => after(store.load(newEpoch()), (loaded: Loaded) => new TopicLog(loaded, options)),
      store: logStoring(store),
    })
  }
}

/** A log's store as its machine uses it. */
export function logStoring(store: LogStore): Storing<Commit, Page, LogEvent> {
  return {
    commit: (write) => store.commit(write),
    durable: () => store.durable(),
    read: ({ reader, direction, offset, maxBytes }) =>
      after(
        direction === 'on' ? store.read(offset, maxBytes) : store.readBefore(offset, maxBytes),
        (chunks): LogEvent => ({ name: 'chunks-read', reader, chunks }),
      ),
  }
}
