import { Alarm, elapsed } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import { type Cursor, makeCursor, parseCursor } from '../protocol/cursor.ts'
import { nameFault } from '../protocol/name.ts'
import { payloadFault } from '../protocol/payload.ts'
import type { Channel } from './channel.ts'
import type { RawMessage, Verdict } from './consumer.ts'
import type { CursorStore } from './cursors.ts'
import { type Gap, MessError } from './errors.ts'
import { type Message, type Read, Walk } from './message.ts'
import { MessageIterator } from './messages.ts'
import type { OutboxBackend, TopicOutbox } from './outbox.ts'
import type { PendingReceipt, Receipt } from './receipt.ts'
import { applySchema, type StandardSchema } from './schema.ts'
import type { SessionEvent } from './session-events.ts'
import { Subscribing, type Subscription } from './subscription.ts'
import type { Feed, FeedEvents, Shown } from './view.ts'

export interface TopicOptions<I, O> {
  /** Checks what is published and what is delivered; handlers get its output. Must answer at once. */
  readonly schema?: StandardSchema<I, O>
  /**
   * Keep the newest messages on this device, so that {@link Topic.view} shows them without a network. Where topics live in the
   * browser they are there anyway; without durable storage nothing is kept.
   */
  readonly replica?: ReplicaOptions
  /** Seals what is published, before it is stored anywhere, and opens what is delivered: `endToEnd()` of `@messkit/sdk/cipher`. */
  readonly cipher?: TopicCipher
}

/** What stands between a topic and its client, so that neither the client nor the home can read what the topic carries. */
export interface TopicCipher {
  /** Called by each topic that is given it; not by applications, and it may change. */
  around<T>(host: TopicHost, topic: string, read: Read<T>): { readonly host: TopicHost; readonly read: Read<T> }
}

export interface ReplicaOptions {
  /** So many at least, 1 to {@link CLIENT_LIMITS.replicaMessages}. */
  readonly maxMessages: number
}

export interface ViewOptions {
  /** Show the newest messages only, so many at most. Default: what the replica keeps, else 100. */
  readonly last?: number
  /** Ends the view, like `stop()`. */
  readonly signal?: AbortSignal
}

/** A running view. */
export interface View extends Disposable {
  /** Resolves when it runs; the first list may come later, or before. */
  readonly ready: Promise<void>
  /** The listener is not called any more. Idempotent. */
  stop(): void
}

export interface PublishOptions {
  /** A name inside the topic, at most {@link CLIENT_LIMITS.keyBytes} bytes. */
  readonly key?: string
  /** Give up waiting for the ack after this long, in ms; the message stays in the outbox. Default: wait. */
  readonly waitMs?: number
  /** The same by signal. */
  readonly signal?: AbortSignal
}

export interface SubscribeOptions {
  /** Where to begin: with what comes from now on (default), with the oldest kept message, behind a cursor, or with the newest few. */
  readonly from?: 'now' | 'start' | Cursor | { readonly last: number }
  /** Go on where the subscription of this name stopped, here or in another tab of this browser; `from` is for the first time. */
  readonly resume?: string
  /** Ends the subscription, like `stop()`. */
  readonly signal?: AbortSignal
  /** Called in order between messages where some will not come. Without it: an `error` event; `messages()` throws. */
  readonly onGap?: (gap: Gap) => void | Promise<void>
  /** A handler threw, or data does not fit the schema. Default: skip, with an `error` event. */
  readonly onError?: (error: MessError, message: RawMessage) => Verdict
}

export interface HistoryOptions {
  /** Forwards from here (default: the oldest kept), or backwards from before here (default: the newest). */
  readonly from?: Cursor
  /** At most this many messages, 1 to {@link CLIENT_LIMITS.historyMessages}. Default 100. */
  readonly limit?: number
  readonly reverse?: boolean
  readonly signal?: AbortSignal
}

export interface Page<T> {
  /** In log order, newest first if `reverse`. */
  readonly messages: Message<T>[]
  /** `from` of the next page; `undefined` on the last one. */
  readonly next: Cursor | undefined
  readonly gap: Gap | undefined
}

/** A named, ordered, durable log. A handle costs nothing and holds nothing; the same name twice is fine. */
export interface Topic<I, O = I> {
  readonly name: string
  /**
   * Append one message. Returns at once, also offline; the receipt resolves when the message is durable at the topic's home.
   * @param data a JSON value, at most {@link CLIENT_LIMITS.messageBytes} bytes encoded
   * @throws {MessError} `bad_payload`, `too_deep`, `message_too_large`, `outbox_full`, `bad_option`; {@link SchemaError}
   */
  publish(data: I, options?: PublishOptions): Receipt
  /** Call a handler with each stored message from a position on, one after the other; a handler's promise is waited for. */
  subscribe(handler: (message: Message<O>) => void | Promise<void>, options?: SubscribeOptions): Subscription
  /** The same as an iterator: asking for the next message marks the last one as handled; leaving the loop does not. */
  messages(options?: SubscribeOptions): AsyncIterableIterator<Message<O>> & Subscription
  /**
   * One list of the newest stored messages and, behind them, own ones that are not stored at the topic's home yet, or were refused.
   * The listener gets the whole list whenever it changes; an own message keeps its id when it turns from pending to stored.
   */
  view(listener: (list: readonly Shown<I, O>[]) => void, options?: ViewOptions): View
  /** One page of what is kept. What does not fit the schema is left out, with an `error` event. */
  history(options?: HistoryOptions): Promise<Page<O>>
}

/** A connection as its topics see it. */
export interface TopicChannel extends Pick<Channel, 'reach' | 'history'> {
  readonly outbox: Pick<TopicOutbox, 'origin' | 'add' | 'owns'>
  post(event: Extract<SessionEvent, { name: 'subscribe' | 'unsubscribe' | 'handled' }>): void
}

/** What a topic needs of its client. */
export interface TopicHost<C extends TopicChannel = TopicChannel> {
  readonly user: string | undefined
  /** What the client waits for before it closes: messages on their way into the outbox. */
  readonly underway: Set<Promise<unknown>>
  channel(topic: string): C
  cursors(): Promise<CursorStore>
  watch: OutboxBackend['watch']
  /** Opens an own message as it lies in the outbox, where it is sealed there. */
  own?(line: string, key: string | undefined): Promise<string>
  /** Aborted when the client is closed. */
  readonly ended: AbortSignal
  /** Shows the copy that is kept here, if there can be one. */
  feed(
    topic: string,
    options: ReplicaOptions & { readonly last: number },
    events: FeedEvents,
  ): Promise<Feed | undefined>
  report(error: MessError): void
  /** Stopped when the client is closed, which waits for it. */
  track(subscription: Pick<Subscription, 'done'> & { stop(waitMs: number): unknown }): void
}

const anything = (value: unknown): unknown => value

/** @throws {MessError} `bad_name` */
export function makeTopic<I, O>(
  host: TopicHost,
  name: string,
  { schema, replica, cipher }: TopicOptions<I, O> = {},
): Topic<I, O> {
  const fault = nameFault(name)
  if (fault) throw new MessError('bad_name', `The topic name ${fault}`)
  if (replica) checkCount(replica.maxMessages, 'maxMessages')
  let read = (schema ? (raw: unknown) => applySchema(schema, raw, 'The stored message') : anything) as Read<O>
  if (cipher) ({ host, read } = cipher.around(host, name, read))

  const tracked = <S extends Subscription>(subscription: S): S => {
    host.track(subscription)
    return subscription
  }

  return {
    name,
    publish(data, options) {
      if (schema) applySchema(schema, data, 'The data')
      checkWait(options?.waitMs)
      const receipt = host.channel(name).outbox.add(encode(data), checkKey(options?.key))
      if (options?.waitMs !== undefined || options?.signal) limitWait(receipt, options)
      return receipt as unknown as Receipt
    },
    subscribe(handler, options = {}) {
      checkSubscribe(options)
      return tracked(new Subscribing<O>({ host, topic: name, handler, read, options }))
    },
    messages(options = {}) {
      checkSubscribe(options)
      return tracked(new MessageIterator<O>({ host, topic: name, read, options }))
    },
    view(listener, { last = replica?.maxMessages ?? 100, signal } = {}) {
      checkCount(last, 'last')
      // A topic that is shown is one whose connection counts.
      host.channel(name)
      const abort = new AbortController()
      const stop = (): void => abort.abort()
      const ends = [host.ended, abort.signal, signal]
      // Loaded by who shows something.
      const ready = import('./view.ts').then(({ Viewing }) =>
        new Viewing<I, O>(host, name, { read, last, listener }).start(replica, ends),
      )
      ready.catch((cause: unknown) => host.report(new MessError('storage_lost', 'The view could not start', { cause })))
      return { ready, stop, [Symbol.dispose]: stop }
    },
    async history(options = {}) {
      const { limit = 100, reverse = false, from, signal } = options
      checkCount(limit, 'limit', CLIENT_LIMITS.historyMessages)
      checkCursor(from)
      const channel = host.channel(name)
      const page = await channel.history({ limit, reverse, ...(from !== undefined && { from }) }, signal)
      const messages: Message<O>[] = []
      const walk = new Walk(page, { epoch: page.epoch, own: (publisher) => channel.outbox.owns(publisher) })
      for (; !walk.done; walk.next()) {
        try {
          messages.push(walk.message(read))
        } catch (error) {
          if (!(error instanceof MessError)) throw error
          host.report(error)
        }
      }
      if (reverse) messages.reverse()
      return {
        messages,
        next: page.more ? makeCursor(page.epoch, reverse ? page.first : page.next) : undefined,
        gap: page.gap,
      }
    },
  }
}

/** The payload's text, made once: the same goes to the outbox and to the wire. */
function encode(data: unknown): string {
  const fault = payloadFault(data)
  if (fault) throw new MessError(fault.code, fault.message, { scope: 'message' })
  const line = JSON.stringify(data)
  if (fits(line, CLIENT_LIMITS.messageBytes)) return line
  throw new MessError(
    'message_too_large',
    `The message has ${utf8Bytes(line)} bytes; ${CLIENT_LIMITS.messageBytes} are allowed (messageBytes)`,
    { scope: 'message' },
  )
}

function checkKey(key: string | undefined): string | undefined {
  if (key === undefined) return undefined
  if (typeof key === 'string' && key !== '' && key.isWellFormed() && fits(key, CLIENT_LIMITS.keyBytes)) return key
  throw new MessError('bad_option', `key: a well-formed text of 1 to ${CLIENT_LIMITS.keyBytes} bytes`)
}

/** A UTF-16 unit makes at most 3 bytes, so that most texts need not be counted. */
const fits = (text: string, bytes: number): boolean => text.length * 3 <= bytes || utf8Bytes(text) <= bytes

const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length

function checkCount(count: number, what: string, max: number = CLIENT_LIMITS.replicaMessages): void {
  if (!Number.isInteger(count) || count < 1 || count > max) throw new MessError('bad_option', `${what}: 1 to ${max}`)
}

function checkWait(waitMs = 0): void {
  if (!(waitMs >= 0)) throw new MessError('bad_option', 'waitMs: 0 or more')
}

function checkSubscribe({ from, resume }: SubscribeOptions): void {
  if (typeof from === 'string') {
    if (from !== 'now' && from !== 'start') checkCursor(from)
  } else if (from !== undefined && !(Number.isSafeInteger(from?.last) && from.last > 0)) {
    throw new MessError('bad_option', "from: 'now', 'start', a cursor, or { last: 1 } and more")
  }
  if (resume !== undefined && (typeof resume !== 'string' || resume === ''))
    throw new MessError('bad_option', 'resume: a non-empty name')
}

function checkCursor(cursor: Cursor | undefined): void {
  if (cursor !== undefined && !parseCursor(cursor)) throw new MessError('bad_cursor', 'Not a cursor that Messkit made')
}

/** Ends the waiting, never the message. */
function limitWait(receipt: PendingReceipt, { waitMs, signal }: PublishOptions): void {
  const give = (): void =>
    receipt.fail(
      new MessError('not_acked_yet', 'The wait for the ack ended', {
        scope: 'message',
        cause: signal?.reason,
      }),
    )
  const alarm = new Alarm(give)
  if (waitMs !== undefined) alarm.set(elapsed() + waitMs)
  signal?.addEventListener('abort', give)
  if (signal?.aborted) give()
  const done = (): void => {
    alarm.clear()
    signal?.removeEventListener('abort', give)
  }
  receipt.then(done, done)
}
