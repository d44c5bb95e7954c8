import { encodeRequest, type Frame } from '../protocol/codec.ts'
import type { HelloResult } from '../protocol/frames/hello.ts'
import { HEARTBEAT, PROTOCOL } from '../protocol/version.ts'
import { type Trouble, trouble, troubleOf } from './errors.ts'
import { Following } from './following.ts'
import { isHello } from './guards.ts'
import type { Answer, Line } from './line.ts'
import type { Publisher } from './publisher.ts'
import { Sending } from './sending.ts'
import type { Asking, Connection, SessionEffect, SessionEvent } from './session-events.ts'

export interface SessionOptions {
  readonly topic: string
  /** The user the client was made for; a link of another user is given up before anything is sent. */
  readonly user?: string | undefined
  readonly publisher: () => Publisher
  readonly random: () => number
  readonly reconnect?: { readonly minMs: number; readonly maxMs: number } | undefined
}

const NEVER = Number.POSITIVE_INFINITY
/** How long a link may take to open and be greeted; how late a heartbeat may be; how long a link stays that nobody needs. */
const OPEN_MS = 15_000
const GRACE_MS = 10_000
const LINGER_MS = 5_000
/** A hint counts against a refusal only after this long, so that hints make no retry loop. */
const STUCK_MS = 30_000
/** A token is renewed this long before it expires, or at four fifths of its life. */
const RENEW_MS = 60_000
const RECONNECT = { minMs: 500, maxMs: 20_000 }

/**
 * The client's end of one topic's link. It outlives single connections: what was subscribed is subscribed again where it
 * stopped, what was published and not acked is published again, what was asked is asked again.
 *
 *     idle ─(wanted)─▶ asking ─(token)─▶ opening ─(opened)─▶ greeting ─(hello answered)─▶ online
 *      ▲                 ▲  ▲                │                   │                          │
 *      └──(not wanted)   │  └────────────── waiting ◀─(lost)─────┴──────────────────────────┘
 *                        └─(hint)─ stuck ◀─(token refused twice, or a refusal that asking again cannot change)
 *
 * Every connection has a generation; whatever an older one still says matches nothing.
 */
export class Session {
  readonly #options: SessionOptions
  readonly #line: Line
  readonly #following: Following
  readonly #sending: Sending
  readonly #asking = new Set<Asking>()
  #out: SessionEffect[] = []
  #state: Connection = 'idle'
  #generation = 0
  #lastRequest = 0
  readonly #answers = new Map<number, Answer>()

  #attempts = 0
  #tokenRefused = false
  #heartbeatMs = NEVER
  /** Moments: state entered, online since, last word from the home, and when each next thing is due. */
  #since = 0
  #onlineAt = 0
  #beatAt = NEVER
  /** When a heartbeat that is not answered yet was sent. */
  #askedAt = NEVER
  #retryAt = NEVER
  #renewAt = NEVER
  #lingerAt = NEVER
  #wakeAt = NEVER

  constructor(options: SessionOptions) {
    this.#options = options
    const session = this
    this.#line = {
      topic: options.topic,
      now: 0,
      get online() {
        return session.#state === 'online'
      },
      limits: {} as HelloResult['limits'],
      emit: (effect) => this.#out.push(effect),
      ask: (method, params, answer) =>
        this.#out.push({ name: 'send', text: encodeRequest(this.#expect(answer), method, params) }),
      expect: (answer) => this.#expect(answer),
      lose: (reason) => this.#lose(reason),
    }
    this.#following = new Following(this.#line)
    this.#sending = new Sending(this.#line, options.publisher)
  }

  get state(): Connection {
    return this.#state
  }

  step(event: SessionEvent, nowMs: number): SessionEffect[] {
    if (this.#state === 'closed') return []
    this.#line.now = nowMs
    this.#out = []
    this.#take(event)
    this.#rest(event)
    return this.#out
  }

  #take(event: SessionEvent): void {
    switch (event.name) {
      case 'opened':
        if (event.generation === this.#generation && this.#state === 'opening') this.#greet()
        return
      case 'heard':
        if (event.generation === this.#generation) this.#heard(event.frame, event.size)
        return
      case 'lost':
        if (event.generation === this.#generation && this.#linked) this.#ended(event.code)
        return
      case 'token':
        this.#token(event.token)
        return
      case 'token-failed':
        this.#tokenFailed()
        return
      case 'subscribe':
        this.#following.add(event.by, event.from)
        return
      case 'unsubscribe':
        this.#following.remove(event.by)
        return
      case 'handled':
        this.#following.handled(event.by, event.cursor, event.through)
        return
      case 'publish':
        this.#sending.flush()
        return
      case 'noted':
        this.#sending.noted()
        return
      case 'ask':
        this.#asking.add(event.by)
        if (this.#line.online) this.#askFor(event.by)
        return
      case 'unask':
        this.#asking.delete(event.by)
        return
      case 'due':
        this.#wakeAt = NEVER
        this.#due()
        return
      case 'hint':
        this.#hint()
        return
      case 'close': {
        const error = trouble('closed', 'The client was closed', false)
        for (const by of this.#asking) this.#out.push({ name: 'answered', by, result: undefined, error })
        this.#unlink()
        this.#enter('closed')
      }
    }
  }

  /** What follows from every event: a link that is wanted, or not any more, and the next alarm. */
  #rest({ name }: SessionEvent): void {
    const wanted = this.#following.size > 0 || this.#asking.size > 0 || this.#sending.size > 0
    if (wanted) {
      this.#lingerAt = NEVER
      if (this.#state === 'idle') this.#ask('first')
      else if (this.#state === 'stuck' && (name === 'subscribe' || name === 'publish' || name === 'ask')) this.#hint()
    } else if (this.#state === 'waiting' || this.#state === 'stuck') this.#enter('idle')
    else if (this.#state === 'online' && this.#lingerAt === NEVER) this.#lingerAt = this.#line.now + LINGER_MS
    const at = this.#dueAt
    if (at < this.#wakeAt) {
      this.#wakeAt = at
      this.#out.push({ name: 'wake-at', at })
    }
  }

  get #linked(): boolean {
    return this.#state === 'opening' || this.#state === 'greeting' || this.#state === 'online'
  }

  get #dueAt(): number {
    if (this.#state === 'waiting' || this.#state === 'stuck') return this.#retryAt
    if (this.#state === 'opening' || this.#state === 'greeting') return this.#since + OPEN_MS
    if (this.#state !== 'online') return NEVER
    return Math.min(
      this.#sending.dueAt,
      this.#following.dueAt,
      this.#lingerAt,
      this.#renewAt,
      this.#beatAt,
      this.#askedAt + GRACE_MS,
    )
  }

  #enter(state: Connection, error?: Trouble): void {
    // Whoever rests lets go of its alarm, and is given a new one when it wakes.
    if (state === 'idle') this.#wakeAt = NEVER
    this.#state = state
    this.#since = this.#line.now
    this.#out.push({ name: 'connection', state, error })
  }

  // ---- getting a link

  #ask(why: 'first' | 'refused'): void {
    this.#enter('asking')
    this.#out.push({ name: 'ask-token', why })
  }

  #token(token: string | undefined): void {
    if (this.#state === 'asking') {
      this.#enter('opening')
      this.#out.push({ name: 'open', generation: ++this.#generation, token })
    } else if (this.#state === 'online' && token !== undefined) {
      this.#line.ask('authenticate', { token }, (result, error) => {
        if (error) this.#lose(error)
        else this.#renewIn((result as Partial<HelloResult>).expiresInMs)
      })
    }
  }

  #tokenFailed(): void {
    if (this.#state === 'asking') this.#wait(trouble('token_unavailable', 'The token callback failed'))
    // The old token still holds; ask again soon.
    else this.#renewAt = this.#line.now + GRACE_MS
  }

  #greet(): void {
    this.#enter('greeting')
    this.#line.ask('hello', { versions: [PROTOCOL.current] }, (result, error) => {
      if (error || !isHello(result)) this.#lose(error ?? trouble('bad_frame'))
      else this.#online(result)
    })
  }

  #online(hello: HelloResult): void {
    const { user } = this.#options
    if (user !== undefined && hello.user !== undefined && hello.user !== user) {
      this.#lose(trouble('user_mismatch', 'The token is of another user', false))
      return
    }
    const { now } = this.#line
    this.#tokenRefused = false
    this.#onlineAt = now
    this.#line.limits = hello.limits
    this.#heartbeatMs = hello.heartbeatMs ?? NEVER
    this.#beatAt = now + this.#heartbeatMs
    this.#renewIn(hello.expiresInMs)
    this.#enter('online')
    this.#following.resume()
    for (const by of this.#asking) this.#askFor(by)
    this.#sending.flush()
  }

  #renewIn(expiresInMs = NEVER): void {
    this.#renewAt = this.#line.now + expiresInMs - Math.min(RENEW_MS, expiresInMs / 5)
  }

  // ---- losing it

  /** The link is gone; everything asked on it is asked again on the next one. */
  #unlink(): void {
    if (this.#linked) this.#out.push({ name: 'hang-up' })
    this.#generation++
    this.#answers.clear()
    this.#following.reset()
    this.#sending.reset()
    this.#renewAt = this.#lingerAt = this.#beatAt = this.#askedAt = NEVER
  }

  #ended(code = 0): void {
    if (code >= 4500 && code < 5000) this.#lose(trouble('forbidden', `The server closed it (${code})`, false))
    else this.#lose(trouble('link_lost'))
  }

  #lose(reason: Trouble): void {
    this.#unlink()
    const refused = /^token_(expired|invalid|not_yet|missing)/.test(reason.code)
    if (refused && !this.#tokenRefused) {
      this.#tokenRefused = true
      this.#ask('refused')
    } else if (refused || !reason.retryable) {
      // A token that is too old or too young by somebody's clock may be good the next time; no more than that is tried unasked.
      this.#retryAt = refused && reason.retryable ? this.#line.now + 2 * STUCK_MS : NEVER
      this.#enter('stuck', reason)
    } else this.#wait(reason)
  }

  #wait(reason: Trouble): void {
    const { now } = this.#line
    // Only refusals in a row say that asking for another token is no use.
    this.#tokenRefused = false
    const { minMs, maxMs } = this.#options.reconnect ?? RECONNECT
    // A link that held for a while was good; one that breaks at once may break again.
    if (this.#onlineAt > 0 && now - this.#onlineAt > maxMs) this.#attempts = 0
    this.#onlineAt = 0
    const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempts++, 16))
    this.#retryAt = now + Math.max(reason.retryAfterMs ?? 0, Math.ceil(this.#options.random() * ceiling))
    this.#enter('waiting', reason)
  }

  /** Somebody thinks that trying now is worth it. */
  #hint(): void {
    const { now } = this.#line
    if (this.#state === 'waiting') this.#ask('first')
    else if (this.#state === 'stuck') {
      this.#retryAt = Math.min(this.#retryAt, this.#since + STUCK_MS)
      if (now >= this.#retryAt) this.#askAgain()
    } else if (this.#state === 'online' && this.#heartbeatMs < NEVER) this.#beat()
  }

  #askAgain(): void {
    this.#tokenRefused = true
    this.#ask('refused')
  }

  // ---- time

  #due(): void {
    const { now } = this.#line
    if (this.#state === 'stuck' && now >= this.#retryAt) {
      this.#askAgain()
      return
    }
    if (this.#state === 'waiting' && now >= this.#retryAt) {
      this.#ask('first')
      return
    }
    if (this.#state === 'opening' || this.#state === 'greeting') {
      if (now >= this.#since + OPEN_MS) this.#ended()
      return
    }
    if (this.#state !== 'online') return
    if (now >= this.#lingerAt) {
      this.#unlink()
      this.#enter('idle')
      return
    }
    // A timer may be a minute late in a hidden tab: what counts is that an answer is overdue, not that nothing was heard.
    if (now >= this.#askedAt + GRACE_MS) {
      this.#ended()
      return
    }
    if (now >= this.#beatAt) this.#beat()
    if (now >= this.#renewAt) {
      this.#renewAt = NEVER
      this.#out.push({ name: 'ask-token', why: 'expiring' })
    }
    if (now >= this.#following.dueAt) this.#following.resume()
    this.#sending.late()
    this.#sending.flush()
  }

  #beat(): void {
    this.#beatAt = this.#line.now + this.#heartbeatMs
    this.#askedAt = Math.min(this.#askedAt, this.#line.now)
    this.#out.push({ name: 'send', text: HEARTBEAT.ask })
  }

  // ---- frames

  #expect(answer: Answer): number {
    this.#answers.set(++this.#lastRequest, answer)
    return this.#lastRequest
  }

  #heard(frame: Frame | 'heartbeat' | undefined, size: number): void {
    this.#askedAt = NEVER
    if (frame === 'heartbeat') return
    const { id, method, params, result, error } = frame ?? {}
    if (!frame) this.#lose(trouble('bad_json'))
    else if (method === 'deliver') this.#following.deliver(params, size)
    else if (method === 'gap') this.#following.gap(params)
    else if (method === 'goodbye') this.#lose(troubleOf(params))
    else if (method) for (const by of this.#asking) this.#out.push({ name: 'told', by, method, params })
    else if (id === null && error) this.#lose(troubleOf(error.data, error.message))
    else if (typeof id === 'number') {
      const answer = this.#answers.get(id)
      this.#answers.delete(id)
      answer?.(result, error && troubleOf(error.data, error.message))
    }
  }

  #askFor(by: Asking): void {
    this.#line.ask(by.method, by.params, (result, error) => this.#out.push({ name: 'answered', by, result, error }))
  }
}
