import { createNanoEvents } from 'nanoevents'
import type { OpenLink } from '../link/link.ts'
import { Alarm, complain, elapsed, soon } from '../platform.ts'
import { Channel } from './channel.ts'
import type { CursorStore } from './cursors.ts'
import { MessError, type Trouble } from './errors.ts'
import type { Outbox, OutboxBackend, OutboxEntry, OutboxEvents } from './outbox.ts'
import type { Connection } from './session-events.ts'
import { type AskToken, Tokens } from './token.ts'
import { makeTopic, type Topic, type TopicHost, type TopicOptions } from './topic.ts'

export interface Status {
  /**
   * `local`: no server. `auth-needed`: the server refused the token, also a fresh one. `denied`: the server refused for good.
   * Otherwise the best of all topics' connections.
   */
  readonly connection: 'local' | 'connecting' | 'online' | 'offline' | 'auth-needed' | 'denied' | 'closed'
  /** Where unacked messages are kept. */
  readonly storage: 'disk' | 'memory' | 'full' | 'lost'
  /** Whether this tab sends what the tabs of this browser publish. */
  readonly role: 'leader' | 'follower' | 'alone'
  readonly unsent: number
  readonly refused: number
}

export interface MessEvents {
  status: (status: Status) => void
  /** A message was refused and set aside. */
  refused: (entry: OutboxEntry) => void
  error: (error: MessError) => void
}

export interface Mess extends AsyncDisposable {
  /** A handle on a topic. @throws {MessError} `bad_name` */
  topic<I, O = I>(name: string, options?: TopicOptions<I, O>): Topic<I, O>
  readonly status: Status
  readonly outbox: Outbox
  /** @returns a function that removes the listener */
  on<E extends keyof MessEvents>(event: E, listener: MessEvents[E]): () => void
  /**
   * Stop everything and let go of connections and locks. Receipts that still wait reject with `closed`; with `waitMs` they are
   * given that long first. Idempotent.
   */
  close(options?: { readonly waitMs?: number }): Promise<{ unsent: number }>
  /**
   * Sign the user out on this device: closes the client in all tabs and deletes what is kept here, which is outbox, replicas,
   * positions, and topics of one's own. Make a new client for the next user.
   * @throws {MessError} `unsent` with `refuse`, if messages wait or are refused; then nothing was touched. `storage_lost` if the browser
   * would not delete it
   */
  forget(options: { readonly unsent: 'refuse' | 'discard' }): Promise<void>
}

/** Options of every kind of client. */
export interface CommonOptions {
  /** The same as calling `close()`. */
  readonly signal?: AbortSignal
  /** Bounds of the random wait between attempts to reconnect, in ms. Default 500 and 20,000. */
  readonly reconnect?: { readonly minMs: number; readonly maxMs: number }
}

/** How a topic is connected to its home, and why it is not. */
export interface TopicConnection {
  readonly state: Connection
  readonly error: Trouble | undefined
}

/** What a kind of client is made of; opened when it is first used. */
export interface Parts {
  readonly local: boolean
  readonly open: OpenLink
  readonly outbox: OutboxBackend
  cursors(): Promise<CursorStore>
  readonly storage: () => Status['storage']
  readonly role: () => Status['role']
  /** Where links cost nothing and come back at once; the application's wish goes before it. */
  readonly reconnect?: NonNullable<CommonOptions['reconnect']>
  /** Whether links go to the home from elsewhere, so that a token is of no use here. */
  relayed?(topic: string): boolean
  /** How a topic is connected beyond its link, where there is a tab in between. */
  uplink?(topic: string): TopicConnection | undefined
  /** Shows the copy of a topic that is kept here. Left out: none is. */
  feed?: TopicHost['feed']
  /** A topic's link has changed. */
  connected?(topic: string, connection: TopicConnection): void
  /** @param forget whether to delete what is kept on this device, for all tabs */
  close(forget: boolean): void | Promise<void>
}

/** What parts tell their client. */
export interface PartsEvents extends OutboxEvents {
  /** A topic's channel, which nobody may have touched here. */
  connect(topic: string): Channel
  /** Links that were lost may be had again now. */
  retry(): void
  /** Another tab has signed the user out. */
  forgotten(): void
  report(error: MessError): void
}

export interface MessSetup {
  readonly options: CommonOptions & { readonly user?: string; readonly token?: AskToken }
  readonly parts: (events: PartsEvents) => Parts
}

const NO_TOKEN = Promise.resolve(undefined)

/** @throws {MessError} `bad_option` for what is no address of a server */
export function checkUrl(url: string): void {
  if (URL.canParse(url) && /^(http|ws)s?:$/.test(new URL(url).protocol)) return
  throw new MessError('bad_option', 'url: must begin with https: or http:', { scope: 'mess' })
}

/** A client out of its parts. Opens nothing and touches no global until it is first used. */
export function makeMess({ options, parts: makeParts }: MessSetup): Mess {
  checkReconnect(options.reconnect)
  const emitter = createNanoEvents<MessEvents>()
  const channels = new Map<string, Channel>()
  const subscriptions = new Set<Parameters<TopicHost['track']>[0]>()
  let parts: Parts | undefined
  let closing: Promise<{ unsent: number }> | undefined
  let closed = false
  let ending: AbortController | undefined
  let forgetting = false
  let telling = false

  const report = (error: MessError): void => {
    // A gap or a handler that throws must not pass unnoticed where nobody has asked to be told.
    if (!emitter.events.error?.length) complain(error)
    emitter.emit('error', error)
  }

  /** A token that is new, or good for one topic, is worth a try for those that were refused. */
  const tryAgain = (): void => {
    for (const channel of channels.values()) if (channel.reach.state === 'stuck') channel.post({ name: 'hint' })
  }

  const tokens = new Tokens(options.token, tryAgain, (cause) =>
    report(new MessError('token_unavailable', 'The token callback failed', { scope: 'mess', cause })),
  )

  /** Many things change at once; listeners hear of it once. */
  const changed = (): void => {
    if (telling) return
    telling = true
    soon(() => {
      telling = false
      emitter.emit('status', status())
    })
  }

  const use = (): Parts => {
    if (closed) throw new MessError('closed', 'The client was closed', { scope: 'mess' })
    parts ??= makeParts({
      refused: (entry) => emitter.emit('refused', entry),
      counted: changed,
      connect: (topic) => host.channel(topic),
      retry: () => {
        for (const channel of channels.values()) channel.post({ name: 'hint' })
      },
      forgotten: () => void close(0),
      report,
    })
    return parts
  }

  const host: TopicHost<Channel> = {
    user: options.user,
    underway: new Set(),
    channel(topic) {
      const parts = use()
      const { local, open, outbox, reconnect } = parts
      const known = channels.get(topic)
      if (known) return known
      const channel = new Channel({
        topic,
        local,
        user: options.user,
        open,
        askToken: (why, refused) => (parts.relayed?.(topic) ? NO_TOKEN : tokens.get(why, refused)),
        uplink: () => parts.uplink?.(topic),
        reconnect: options.reconnect ?? reconnect,
        outbox: (publish) => outbox.topic(topic, publish),
        onConnection: (state, error) => connection(topic, state, error),
        report,
      })
      channels.set(topic, channel)
      return channel
    },
    cursors: () => use().cursors(),
    watch: (...args) => use().outbox.watch(...args),
    get ended() {
      ending ??= new AbortController()
      return ending.signal
    },
    feed: async (...args) => use().feed?.(...args),
    report,
    track(subscription) {
      subscriptions.add(subscription)
      const forget = (): boolean => subscriptions.delete(subscription)
      subscription.done.then(forget, forget)
    },
  }

  const connection = (topic: string, state: Connection, error: Trouble | undefined): void => {
    parts?.connected?.(topic, { state, error })
    if (state === 'stuck' && error)
      report(new MessError(error.code, `${topic}: ${error.message}`, { retryable: error.retryable }))
    if (state === 'online') tryAgain()
    changed()
  }

  const status = (): Status => ({
    connection: closed
      ? 'closed'
      : parts?.local
        ? 'local'
        : connectionOf([...channels.values()].map(({ reach }) => reach)),
    storage: parts?.storage() ?? 'memory',
    role: parts?.role() ?? 'alone',
    unsent: parts?.outbox.unsent ?? 0,
    refused: parts?.outbox.refused ?? 0,
  })

  /** Until nothing waits any more, or time is up. */
  const settled = (waitMs: number): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        off()
        alarm.clear()
        resolve()
      }
      const off = emitter.on('status', ({ unsent }) => {
        if (unsent === 0) done()
      })
      const alarm = new Alarm(done)
      alarm.set(elapsed() + waitMs)
    })

  const close = (waitMs: number, forget = false): Promise<{ unsent: number }> => {
    // Also where it is closing already.
    forgetting ||= forget
    closing ??= (async () => {
      if (!forget && host.underway.size > 0) await Promise.all(host.underway)
      if (waitMs > 0 && status().unsent > 0) await settled(waitMs)
      const { unsent } = status()
      // The first thing: each writes down how far it has come.
      await Promise.all([...subscriptions].map((subscription) => subscription.stop(waitMs)))
      closed = true
      ending?.abort()
      options.signal?.removeEventListener('abort', onAbort)
      for (const channel of channels.values()) channel.close()
      tokens.close()
      parts?.outbox.close()
      await parts?.close(forgetting)
      emitter.emit('status', status())
      return { unsent }
    })()
    return closing
  }

  const forget = async (unsent: 'refuse' | 'discard'): Promise<void> => {
    const { outbox } = use()
    if (unsent !== 'discard') {
      await Promise.all(host.underway)
      if ((await outbox.list()).length > 0) throw new MessError('unsent', 'Not all was sent', { scope: 'mess' })
    }
    use()
    await close(0, true)
  }

  const onAbort = (): void => void close(0)
  if (options.signal?.aborted) onAbort()
  else options.signal?.addEventListener('abort', onAbort)

  return {
    topic: (name, topicOptions) => makeTopic(host, name, topicOptions),
    get status() {
      return status()
    },
    get outbox() {
      return use().outbox
    },
    on: (event, listener) => emitter.on(event, guarded(listener)),
    close: ({ waitMs = 0 } = {}) => close(waitMs),
    forget: ({ unsent }) => forget(unsent),
    async [Symbol.asyncDispose]() {
      await close(0)
    },
  }
}

function checkReconnect({ minMs, maxMs }: CommonOptions['reconnect'] = { minMs: 1, maxMs: 1 }): void {
  if (minMs >= 1 && minMs <= maxMs && maxMs < Number.POSITIVE_INFINITY) return
  throw new MessError('bad_option', 'reconnect: minMs from 1 on, maxMs from minMs on', { scope: 'mess' })
}

/** What a listener throws is the application's to hear of, and harms nothing here. */
function guarded<L extends (fact: never) => void>(listener: L): L {
  const guard = (fact: never): void => {
    try {
      listener(fact)
    } catch (error) {
      soon(() => {
        throw error
      })
    }
  }
  return guard as L
}

/** What to tell of several topics: trouble that needs somebody first, then the best connection. */
function connectionOf(topics: TopicConnection[]): Status['connection'] {
  const stuck = topics.find(({ state }) => state === 'stuck')
  if (stuck) return stuck.error?.code.startsWith('token_') ? 'auth-needed' : 'denied'
  if (topics.some(({ state }) => state === 'online')) return 'online'
  if (topics.some(({ state }) => state === 'asking' || state === 'opening' || state === 'greeting')) return 'connecting'
  return 'offline'
}
