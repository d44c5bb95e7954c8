import type { Link, LinkEvents } from '../link/link.ts'
import { Alarm, elapsed, random, randomName, soon } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import { encodeRequest, LINE_BREAK, parseFrame, payloads } from '../protocol/codec.ts'
import type { PublishResult } from '../protocol/frames/publish.ts'
import type { JobOptions, JobsParams, Lease, LostParams, SettleParams, WorkResult } from '../protocol/frames/queue.ts'
import { PROTOCOL } from '../protocol/version.ts'
import { MessError, troubleOf } from './errors.ts'

/** Opens a link to a queue's home. Events come later, never before this returns. */
export type OpenQueue = (queue: string, events: LinkEvents) => Promise<Link>

/** A job that its home has not acked yet. */
export interface Enqueued {
  readonly line: string
  readonly options: JobOptions | null
  done(id: number | undefined, duplicate: boolean): void
  failed(error: MessError): void
}

/** Whoever takes jobs from here. */
export interface Taker {
  /** What it wants to hold; asked for again on each link. */
  wish(): object
  took(jobs: JobsParams): void
  lost(leases: readonly Lease[]): void
}

/** What can be said of a lease. */
type Settling = Exclude<keyof SettleParams, 'queue'>

interface Request {
  readonly text: string
  readonly done: (result: unknown, error: MessError | undefined) => void
}

const BUSY_MS = 100
const RECONNECT = { minMs: 20, maxMs: 5_000 }
/** Leaves room for the head of a frame. */
const BATCH_CHARS = 300_000

/**
 * One queue as this client is connected to it. What was asked and not answered is asked again on the next link: jobs are recognised by
 * their sequence, and leases by their token, so nothing is done twice.
 */
export class QueueChannel {
  readonly #queue: string
  readonly #open: OpenQueue
  readonly #requests = new Map<number, Request>()
  readonly #takers = new Map<string, Taker>()
  readonly #wishes = new Map<number, Taker>()
  readonly #alarm = new Alarm(() => this.#connect())
  #publisher = randomName()
  #link: Link | undefined
  #state: 'idle' | 'opening' | 'online' | 'waiting' | 'closed' = 'idle'
  #generation = 0
  #attempts = 0
  #lastRequest = 0

  /** Jobs that wait for the frame that is on its way, and the last sequence that is stored. */
  #waiting: Enqueued[] = []
  #sending = false
  #sequence = 0
  #settled = 0
  #flushing = false
  #settling = 0
  readonly #waiters: (() => void)[] = []
  #settles: Partial<Record<Settling, unknown[]>> = {}

  constructor(queue: string, open: OpenQueue) {
    this.#queue = queue
    this.#open = open
  }

  // ---- asking

  ask<R>(method: string, params: object): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#ask(method, params, (result, error) => (error ? reject(error) : resolve(result as R)))
    })
  }

  /** Everything enqueued in one go leaves in one frame, and what comes until that is answered in the next. */
  enqueue(job: Enqueued): void {
    if (this.#waiting.length >= CLIENT_LIMITS.outboxMessages)
      throw new MessError('outbox_full', `${this.#waiting.length} jobs wait to be enqueued`)
    this.#waiting.push(job)
    this.#flushSoon()
  }

  /** All that was settled in one go leaves in one frame. */
  settle<K extends Settling>(kind: K, entry: NonNullable<SettleParams[K]>[number]): void {
    const list: unknown[] = this.#settles[kind] ?? []
    list.push(entry)
    this.#settles[kind] = list
    if (list.length >= CLIENT_LIMITS.messagesPerFrame) this.#flushSettles()
    else this.#flushSoon()
  }

  /** Resolves once the home has heard everything that was settled. */
  settled(): Promise<void> {
    this.#flushSettles()
    return new Promise((resolve) => {
      this.#waiters.push(resolve)
      this.#tellSettled()
    })
  }

  add(name: string, taker: Taker): void {
    this.#takers.set(name, taker)
    this.wish(name)
  }

  wish(name: string): void {
    const taker = this.#takers.get(name)
    if (this.#state === 'online' && taker) this.#wish(taker)
    else this.#use()
  }

  remove(name: string): void {
    this.#takers.delete(name)
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#generation++
    this.#alarm.clear()
    this.#link?.close()
    const closed = new MessError('closed', 'The client was closed')
    for (const { done } of this.#requests.values()) done(undefined, closed)
    for (const job of this.#waiting) job.failed(closed)
    this.#requests.clear()
    this.#waiting = []
  }

  #ask(method: string, params: object, done: Request['done']): void {
    const id = ++this.#lastRequest
    this.#send(id, { text: encodeRequest(id, method, { queue: this.#queue, ...params }), done })
  }

  #send(id: number, request: Request): void {
    if (this.#state === 'closed') {
      request.done(undefined, new MessError('closed', 'The client was closed'))
      return
    }
    this.#requests.set(id, request)
    if (this.#state === 'online') this.#link?.send(request.text)
    else this.#use()
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    soon(() => {
      this.#flushing = false
      this.#flushSettles()
      this.#flushJobs()
    })
  }

  #flushSettles(): void {
    if (Object.keys(this.#settles).length === 0) return
    const params = this.#settles
    this.#settles = {}
    this.#settling++
    // A lease that had ended is somebody else's matter by now.
    const say = (): void =>
      this.#ask('settle', params, (_, error) => {
        if (error?.code === 'busy') {
          new Alarm(say).set(elapsed() + BUSY_MS)
          return
        }
        this.#settling--
        this.#tellSettled()
      })
    say()
  }

  #tellSettled(): void {
    if (this.#settling === 0) for (const tell of this.#waiters.splice(0)) tell()
  }

  #flushJobs(): void {
    if (this.#sending || this.#waiting.length === 0) return
    let chars = 0
    let count = 0
    for (const { line, options } of this.#waiting) {
      chars += line.length + (options ? 200 : 0)
      if (count === CLIENT_LIMITS.messagesPerFrame || (count > 0 && chars > BATCH_CHARS)) break
      count++
    }
    const batch = this.#waiting.splice(0, count)
    const first = this.#sequence + 1
    this.#sequence += count
    this.#sending = true
    const id = ++this.#lastRequest
    const each = batch.some(({ options }) => options) ? { each: batch.map(({ options }) => options) } : {}
    const params = { queue: this.#queue, publisher: this.#publisher, after: this.#settled, first, ...each }
    const head = encodeRequest(id, 'enqueue', params).slice(0, -2)
    const text = `${head},${payloads(batch.map(({ line }) => line).join(LINE_BREAK))}`
    this.#send(id, { text, done: (result, error) => this.#enqueued(batch, first, result as PublishResult, error) })
  }

  #enqueued(batch: readonly Enqueued[], start: number, result: PublishResult, error: MessError | undefined): void {
    this.#sending = false
    if (error?.retryable && error.code !== 'sequence_gap') {
      this.#waiting.unshift(...batch)
      this.#sequence = start - 1
      this.#alarmRetry()
      return
    }
    if (error) for (const job of batch) job.failed(error)
    // Its home knows nothing of us any more, and would take nothing under this name.
    if (error) this.#renew()
    const unsent: Enqueued[] = []
    for (const { fate, first, count, offset, code, message } of error ? [] : result.fates) {
      for (let i = 0; i < count; i++) {
        const job = batch[first - start + i] as Enqueued
        if (fate === 'unsent') unsent.push(job)
        else if (fate === 'refused') job.failed(new MessError((code ?? 'internal') as MessError['code'], message ?? ''))
        else {
          this.#settled = first + i
          job.done(offset === undefined ? undefined : offset + i, fate === 'duplicate')
        }
      }
    }
    this.#waiting.unshift(...unsent)
    this.#flushJobs()
  }

  #renew(): void {
    this.#publisher = randomName()
    this.#sequence = this.#settled = 0
  }

  /** The home is busy: again in a moment. */
  #alarmRetry(): void {
    new Alarm(() => this.#flushJobs()).set(elapsed() + BUSY_MS)
  }

  // ---- the link

  #use(): void {
    if (this.#state === 'idle') this.#connect()
  }

  #connect(): void {
    if (this.#state === 'closed') return
    this.#state = 'opening'
    const generation = ++this.#generation
    const ours = (): boolean => generation === this.#generation
    const events: LinkEvents = {
      opened: () => {},
      heard: (text) => {
        if (ours()) this.#heard(text)
      },
      lost: () => {
        if (ours()) this.#wait()
      },
    }
    this.#open(this.#queue, events).then(
      (link) => {
        if (!ours()) {
          link.close()
          return
        }
        this.#link = link
        link.send(encodeRequest(0, 'hello', { versions: [PROTOCOL.current] }))
      },
      () => {
        if (ours()) this.#wait()
      },
    )
  }

  #wait(): void {
    this.#generation++
    this.#link = undefined
    this.#wishes.clear()
    this.#state = 'waiting'
    const ceiling = Math.min(RECONNECT.maxMs, RECONNECT.minMs * 2 ** Math.min(this.#attempts++, 16))
    this.#alarm.set(elapsed() + random() * ceiling)
  }

  #heard(text: string): void {
    const { id, method, params, result, error } = parseFrame(text) ?? {}
    if (method === 'jobs') this.#takers.get((params as JobsParams).worker)?.took(params as JobsParams)
    else if (method === 'lost') for (const taker of this.#takers.values()) taker.lost((params as LostParams).leases)
    else if (id === 0) this.#greeted()
    else if (typeof id === 'number') {
      const { lost = [] } = (result ?? {}) as Partial<WorkResult>
      this.#wishes.get(id)?.lost(lost)
      this.#wishes.delete(id)
      const request = this.#requests.get(id)
      this.#requests.delete(id)
      const trouble = error && troubleOf(error.data, error.message)
      request?.done(result, trouble && new MessError(trouble.code, trouble.message, { retryable: trouble.retryable }))
    }
  }

  #greeted(): void {
    this.#state = 'online'
    this.#attempts = 0
    // Who works says what it holds before anything it settles.
    for (const taker of this.#takers.values()) this.#wish(taker)
    for (const { text } of this.#requests.values()) this.#link?.send(text)
  }

  /** Not kept for the next link, on which it is said anew. */
  #wish(taker: Taker): void {
    const id = ++this.#lastRequest
    this.#wishes.set(id, taker)
    this.#link?.send(encodeRequest(id, 'work', { queue: this.#queue, ...taker.wish() }))
  }
}
