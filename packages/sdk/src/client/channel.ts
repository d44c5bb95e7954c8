import { parseFrame } from '../protocol/codec.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { HistoryParams, HistoryResult } from '../protocol/frames/history.ts'
import type { From } from '../protocol/frames/subscribe.ts'
import { HEARTBEAT } from '../protocol/version.ts'
import type { Link, OpenLink } from '../link/link.ts'
import { Alarm, now, onHint, random, soon } from '../platform.ts'
import type { Consumer } from './consumer.ts'
import { MessError, type Trouble } from './errors.ts'
import type { TopicOutbox } from './outbox.ts'
import { type Connection, Session, type SessionEffect, type SessionEvent, type SessionOptions } from './session.ts'
import type { Tokens } from './token.ts'

/** What a subscription wants to hear from its channel. */
export interface Subscriber {
  // biome-ignore lint/suspicious/noExplicitAny: the channel passes payloads on and never looks at them.
  readonly consumer: Consumer<any>
  started(epoch: string, next: number, head: number): void
  /** The link came or went. */
  linked(online: boolean): void
  failed(error: MessError): void
}

export interface ChannelOptions {
  readonly topic: string
  readonly user: string | undefined
  readonly open: OpenLink
  readonly tokens: Tokens
  readonly reconnect: SessionOptions['reconnect']
  readonly outbox: (changed: () => void) => TopicOutbox
  readonly onConnection: (state: Connection, error: Trouble | undefined) => void
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
  readonly #subscribers = new Map<number, Subscriber>()
  readonly #pages = new Map<number, { resolve: (page: HistoryResult) => void; reject: (error: MessError) => void }>()
  readonly #alarm = new Alarm(() => this.#post({ name: 'due' }))
  #unhint: (() => void) | undefined
  #running = false
  #flushing = false
  #link: Link | undefined
  #token: string | undefined
  #lastKey = 0

  constructor(options: ChannelOptions) {
    this.#options = options
    this.outbox = options.outbox(() => this.#changed())
    this.#session = new Session({ topic: options.topic, user: options.user, publisher: () => this.outbox.publisher(), random, reconnect: options.reconnect })
  }

  get connection(): Connection {
    return this.#session.state
  }

  subscribe(subscriber: Subscriber, from: From): { handled(cursor: Cursor, through: number): void; stop(): void } {
    const key = ++this.#lastKey
    this.#subscribers.set(key, subscriber)
    this.#post({ name: 'subscribe', key, from })
    return {
      handled: (cursor, through) => this.#post({ name: 'handled', key, cursor, through }),
      stop: () => {
        if (this.#subscribers.delete(key)) this.#post({ name: 'unsubscribe', key })
      },
    }
  }

  history(params: Omit<HistoryParams, 'topic'>, signal: AbortSignal | undefined): Promise<HistoryResult> {
    return new Promise((resolve, reject) => {
      const key = ++this.#lastKey
      const abort = (): void => {
        this.#pages.delete(key)
        this.#post({ name: 'forget-history', key })
        reject(signal?.reason)
      }
      if (signal?.aborted) return reject(signal.reason)
      signal?.addEventListener('abort', abort, { once: true })
      const done = (): void => signal?.removeEventListener('abort', abort)
      this.#pages.set(key, { resolve: (page) => (done(), resolve(page)), reject: (error) => (done(), reject(error)) })
      this.#post({ name: 'history', key, params })
    })
  }

  /** The outbox has more to send. Everything published in one go leaves in one frame. */
  #changed(): void {
    if (this.#flushing) return
    this.#flushing = true
    soon(() => {
      this.#flushing = false
      this.#post({ name: 'publish' })
    })
  }

  close(): void {
    this.#post({ name: 'close' })
    const closed = new MessError('closed', 'The client was closed')
    for (const { reject } of this.#pages.values()) reject(closed)
    this.#pages.clear()
    this.#subscribers.clear()
  }

  #post(event: SessionEvent): void {
    this.#queue.push(event)
    if (this.#running) return
    this.#running = true
    try {
      for (let i = 0; i < this.#queue.length; i++) {
        for (const effect of this.#session.step(this.#queue[i] as SessionEvent, now())) this.#perform(effect)
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
        this.#subscribers.get(effect.key)?.consumer.batch(effect.batch, effect.epoch)
        return
      case 'fates':
        this.outbox.settle(effect.epoch, effect.fates, () => this.#post({ name: 'noted' }))
        return
      case 'wake-at':
        this.#alarm.set(effect.at)
        return
      case 'gap':
        this.#subscribers.get(effect.key)?.consumer.gap(effect.gap, effect.epoch, effect.through)
        return
      case 'started':
        this.#subscribers.get(effect.key)?.started(effect.epoch, effect.next, effect.head)
        return
      case 'subscribe-failed':
        this.#subscribers.get(effect.key)?.failed(errorOf(effect.error))
        return
      case 'publisher-lost':
        this.outbox.abandon(effect.error.code, effect.error.message, () => this.#post({ name: 'noted' }))
        return
      case 'page':
        this.#take(effect.key)?.resolve(effect.page)
        return
      case 'page-failed':
        this.#take(effect.key)?.reject(errorOf(effect.error))
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
    }
  }

  #take(key: number): { resolve: (page: HistoryResult) => void; reject: (error: MessError) => void } | undefined {
    const page = this.#pages.get(key)
    this.#pages.delete(key)
    return page
  }

  #askToken(why: 'first' | 'expiring' | 'refused'): void {
    this.#options.tokens.get(why, this.#token).then(
      (token) => this.#post({ name: 'token', token: (this.#token = token) }),
      () => this.#post({ name: 'token-failed' }),
    )
  }

  #open(generation: number, token: string | undefined): void {
    this.#link = this.#options.open(this.#options.topic, token, {
      opened: () => this.#post({ name: 'opened', generation }),
      heard: (text) => this.#post({ name: 'heard', generation, frame: text === HEARTBEAT.answer ? 'heartbeat' : parseFrame(text), size: text.length }),
      lost: (code) => this.#post(code === undefined ? { name: 'lost', generation } : { name: 'lost', generation, code }),
    })
  }

  #connection(state: Connection, error: Trouble | undefined): void {
    if (state === 'idle' || state === 'closed') {
      this.#unhint?.()
      this.#unhint = undefined
      this.#alarm.clear()
    } else this.#unhint ??= onHint(() => this.#post({ name: 'hint' }))
    for (const subscriber of this.#subscribers.values()) subscriber.linked(state === 'online')
    this.#options.onConnection(state, error)
  }
}

function errorOf({ code, message, retryable }: Trouble): MessError {
  return new MessError(code, message, { retryable })
}
