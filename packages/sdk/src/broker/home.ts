import type { Fault } from '../protocol/error-codes.ts'
import { fault } from '../protocol/error-codes.ts'
import type { BadRequest, Request } from '../protocol/requests.ts'
import type { LogStore, Maybe } from '../store/store.ts'
import { drive } from './driver.ts'
import { type Identity, type LinkState, type LogEffect, type LogEvent, NOBODY } from './machine.ts'
import { TopicLog, type TopicLogOptions } from './topic-log.ts'

/** The broker's end of one link: what a home can do to it. Each may fail silently once the peer is gone. */
export interface Port {
  send(text: string): void
  close(code: number, reason: string): void
  /** Keep the state where it outlives this object. Left out where the link does not outlive it. */
  remember?(state: LinkState): void
}

export interface HomeOptions extends TopicLogOptions {
  readonly store: LogStore
  /** Text → request: with validation at a server's border (`decodeRequest`), without it among the tabs of one origin. */
  readonly decode: (text: string) => Request | BadRequest
  readonly now: () => number
  /** Names the log if it is new. */
  readonly newEpoch: () => string
  readonly wakeAt?: (at: number) => void
  readonly verify?: (token: string, link: number) => Promise<Identity | Fault>
  /** Told after a failure, when every link has been closed; the next link loads the log anew. */
  readonly onFailed?: (error: unknown) => void
}

/**
 * One topic at home: the log, its store and its links, wherever that is (a process, a leading tab, a Durable Object). Loads at the
 * first link, and again after a failure; what arrives meanwhile waits in order.
 */
export class TopicHome {
  readonly #options: HomeOptions
  readonly #ports = new Map<number, Port>()
  #lastLink = 0
  #post: ((event: LogEvent) => void) | undefined
  #early: LogEvent[] | undefined

  constructor(options: HomeOptions) {
    this.#options = options
  }

  get linkCount(): number {
    return this.#ports.size
  }

  /** @returns the link's number, never used again in this home */
  attach(port: Port, state: LinkState): number {
    const link = ++this.#lastLink
    this.#ports.set(link, port)
    this.#tell({ name: 'opened', link, state })
    return link
  }

  receive(link: number, text: string): void {
    if (this.#ports.has(link)) this.#tell({ name: 'frame', link, frame: this.#options.decode(text) })
  }

  detach(link: number): void {
    if (this.#ports.delete(link)) this.#tell({ name: 'closed', link })
  }

  /** What a link's user may do has changed. */
  judge(link: number, identity: Identity): void {
    if (this.#ports.has(link)) this.#tell({ name: 'judged', link, identity })
  }

  due(): void {
    this.#tell({ name: 'due' })
  }

  #tell(event: LogEvent): void {
    if (this.#post) this.#post(event)
    else if (this.#early) this.#early.push(event)
    else this.#load(event)
  }

  #load(first: LogEvent): void {
    this.#early = [first]
    const { store, newEpoch, now } = this.#options
    const ready = (loaded: Awaited<ReturnType<LogStore['load']>>): void => {
      const early = this.#early ?? []
      const post = drive(new TopicLog(loaded, this.#options), store, {
        now,
        perform: (effect) => this.#perform(effect),
      })
      // What an answer provokes stands in line, too, or it would overtake what its link sent before.
      for (let i = 0; i < early.length; i++) post(early[i] as LogEvent)
      if (this.#early !== early) return
      this.#early = undefined
      this.#post = post
    }
    settle(
      () => store.load(newEpoch()),
      ready,
      (error) => this.#failed(error),
    )
  }

  #perform(effect: Exclude<LogEffect, { name: 'commit' | 'read' }>): void {
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
        if (this.#options.verify) this.#options.verify(token, link).then(answer, () => answer(fault('internal')))
        else answer(NOBODY)
        return
      }
      case 'wake-at':
        this.#options.wakeAt?.(effect.at)
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
    this.#options.onFailed?.(error)
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
