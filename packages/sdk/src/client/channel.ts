import type { Link, OpenLink } from '../link/link.ts'
import { Alarm, elapsed, onHint, random, soon } from '../platform.ts'
import { parseFrame } from '../protocol/codec.ts'
import type { HistoryParams, HistoryResult } from '../protocol/frames/history.ts'
import { HEARTBEAT } from '../protocol/version.ts'
import { MessError, type Trouble, trouble } from './errors.ts'
import { isHistory } from './guards.ts'
import type { TopicConnection } from './mess.ts'
import type { TopicOutbox } from './outbox.ts'
import { Session, type SessionOptions } from './session.ts'
import type { Asking, Connection, SessionEffect, SessionEvent } from './session-events.ts'
import type { AskToken } from './token.ts'

type Why = Parameters<AskToken>[0]['why']

export interface ChannelOptions {
  readonly topic: string
  /** Whether the home is on this side. */
  readonly local: boolean
  readonly user: string | undefined
  readonly open: OpenLink
  readonly askToken: (why: Why, refused: string | undefined) => Promise<string | undefined>
  /** How the tab is connected that this one's link goes through. */
  readonly uplink: () => TopicConnection | undefined
  readonly reconnect: SessionOptions['reconnect']
  readonly outbox: (changed: () => void) => TopicOutbox
  readonly onConnection: (state: Connection, error: Trouble | undefined) => void
  readonly report: (error: MessError) => void
}

/**
 * One topic as this client is connected to it: carries out what its session decides. Events are queued, so that a link that
 * answers at once does not recurse.
 */
export class Channel {
  readonly outbox: TopicOutbox
  readonly #options: ChannelOptions
  readonly #session: Session
  readonly #queue: SessionEvent[] = []
  readonly #alarm: Alarm
  #unhint: (() => void) | undefined
  #running = false
  #flushing = false
  #link: Link | undefined
  #token: string | undefined
  #error: Trouble | undefined

  constructor(options: ChannelOptions) {
    this.#options = options
    this.outbox = options.outbox(() => this.#changed())
    // Between the parts of one process nothing is waited for, so no process has to stay for it.
    this.#alarm = new Alarm(() => this.post({ name: 'due' }), !options.local)
    this.#session = new Session({ ...options, publisher: () => this.outbox.publisher(), random })
  }

  /** How the topic's home is reached, also through another tab. */
  get reach(): TopicConnection {
    const { state } = this.#session
    return (state !== 'stuck' && this.#options.uplink()) || { state, error: this.#error }
  }

  history(params: Omit<HistoryParams, 'topic'>, signal: AbortSignal | undefined): Promise<HistoryResult> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const abort = (): void => {
        this.post({ name: 'unask', by })
        reject(signal?.reason)
      }
      const by: Asking = {
        method: 'history',
        params: { topic: this.#options.topic, ...params },
        answered: (page, error) => {
          signal?.removeEventListener('abort', abort)
          if (isHistory(page)) resolve(page)
          else reject(errorOf(error ?? trouble('bad_frame')))
          this.post({ name: 'unask', by })
        },
      }
      signal?.addEventListener('abort', abort)
      this.post({ name: 'ask', by })
    })
  }

  /** The outbox has more to send. Everything published in one go leaves in one frame. */
  #changed(): void {
    if (this.#flushing) return
    this.#flushing = true
    soon(() => {
      this.#flushing = false
      this.post({ name: 'publish' })
    })
  }

  close(): void {
    this.post({ name: 'close' })
  }

  post(event: SessionEvent): void {
    this.#queue.push(event)
    if (this.#running) return
    this.#running = true
    try {
      for (let i = 0; i < this.#queue.length; i++) {
        for (const effect of this.#session.step(this.#queue[i] as SessionEvent, elapsed())) this.#perform(effect)
      }
    } finally {
      this.#queue.length = 0
      this.#running = false
    }
  }

  #perform(effect: SessionEffect): void {
    switch (effect.name) {
      case 'send':
        this.#link?.send(effect.text)
        return
      case 'batch':
        effect.by.batch(effect.batch, effect.epoch)
        return
      case 'fates':
        this.outbox.settle(effect.epoch, effect.fates, this.#noted)
        // Nothing may be left that wants the link.
        if (this.outbox.publisher().size === 0) this.post({ name: 'publish' })
        return
      case 'wake-at':
        this.#alarm.set(effect.at)
        return
      case 'gap':
        effect.by.gap(effect.gap, effect.epoch, effect.through)
        return
      case 'started':
        effect.by.started(effect)
        return
      case 'subscribe-failed':
        effect.by.failed(errorOf(effect.error))
        return
      case 'publisher-lost':
        this.outbox.abandon(effect.error.code, effect.error.message, this.#noted)
        return
      case 'answered':
        effect.by.answered(effect.result, effect.error)
        return
      case 'told':
        effect.by.told?.(effect.method, effect.params)
        return
      case 'ask-token':
        this.#askToken(effect.why)
        return
      case 'open':
        this.#open(effect.generation, effect.token)
        return
      case 'hang-up':
        this.#link?.close()
        this.#link = undefined
        return
      case 'connection':
        this.#connection(effect.state, effect.error)
        return
    }
  }

  readonly #noted = (): void => this.post({ name: 'noted' })

  #askToken(why: Why): void {
    this.#options.askToken(why, this.#token).then(
      (token) => {
        this.#token = token
        this.post({ name: 'token', token })
      },
      () => this.post({ name: 'token-failed' }),
    )
  }

  #open(generation: number, token: string | undefined): void {
    const { open, topic } = this.#options
    const post = (event: SessionEvent): void => this.post(event)
    try {
      this.#link = open(topic, token, {
        opened: () => post({ name: 'opened', generation }),
        heard: (text) => {
          const frame = text === HEARTBEAT.answer ? 'heartbeat' : parseFrame(text)
          post({ name: 'heard', generation, frame, size: text.length })
        },
        lost: (code) => post({ name: 'lost', generation, code }),
      })
    } catch (cause) {
      // As for an http: server on an https: page. It may be let in later, so it is tried again like any other link.
      post({ name: 'lost', generation, code: undefined })
      this.#options.report(new MessError('link_lost', 'The connection was refused here', { cause }))
    }
  }

  #connection(state: Connection, error: Trouble | undefined): void {
    this.#error = error
    if (state === 'idle' || state === 'closed') {
      this.#unhint?.()
      this.#unhint = undefined
      this.#alarm.clear()
    } else this.#unhint ??= onHint(() => this.post({ name: 'hint' }))
    this.#options.onConnection(state, error)
  }
}

function errorOf({ code, message, retryable }: Trouble): MessError {
  return new MessError(code, message, { retryable })
}
