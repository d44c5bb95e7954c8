import { encodeNotification } from '../protocol/codec.ts'
import { type Fault, fault } from '../protocol/error-codes.ts'
import { EVERY_QUEUE } from '../protocol/every-queue.ts'
import type { NamesRequest, QueuesParams, QueuesResult } from '../protocol/frames/queue-names.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { BadRequest } from '../protocol/requests.ts'
import type { Identity } from './machine.ts'
import { answer, answerError, expired, farewell, greeting } from './replies.ts'

interface Port {
  send(text: string): void
  close(code: number, reason: string): void
}

export interface NamesShell {
  /** Text → request: with validation at a server's border, without it among the tabs of one origin. */
  readonly decode: (text: string) => NamesRequest | BadRequest
  readonly now: () => number
  readonly heartbeatMs?: number
  /** A page for whoever is there now. */
  readonly queues: (asked: QueuesParams) => Promise<QueuesResult | Fault>
  /** Checks a newer token; from then on they are there by that one. */
  readonly verify?: (token: string) => Promise<Identity | Fault>
}

/** One link on which it is asked which queues there are. Nothing of it is kept, and nobody waits for an answer but the link itself. */
export class NamesLink {
  readonly #shell: NamesShell
  readonly #port: Port
  #identity: Identity
  #greeted = false
  #faultCount = 0
  #waiting = 0
  #closed = false

  constructor(shell: NamesShell, port: Port, identity: Identity) {
    this.#shell = shell
    this.#port = port
    this.#identity = identity
  }

  /** There may be more of them. */
  more(): void {
    if (this.#greeted) this.#port.send(encodeNotification('more', { queue: EVERY_QUEUE }))
  }

  receive(text: string): void {
    if (this.#closed) return
    const { decode, now } = this.#shell
    const frame = decode(text)
    if (expired(this.#identity, now())) this.#end(null, fault('token_expired'))
    else if ('fault' in frame) this.#misunderstood(frame)
    else if (!this.#greeted && frame.method !== 'hello') this.#end(frame.id, fault('hello_needed'))
    else if (frame.method === 'hello') this.#hello(frame.id, frame.params.versions)
    // Each costs its home more than a frame.
    else if (this.#waiting >= LIMITS.readsPerLink) this.#say(frame.id, { ...fault('busy'), retryAfterMs: AGAIN_MS })
    else void this.#answer(frame)
  }

  #misunderstood({ id, fault: wrong }: BadRequest): void {
    if (wrong.code === 'frame_too_large') this.#end(id, wrong)
    else if (++this.#faultCount > LIMITS.faultsPerLink) this.#end(null, fault('too_many_faults'))
    else this.#say(id, wrong)
  }

  #hello(id: number, versions: readonly number[]): void {
    const { now, heartbeatMs } = this.#shell
    const result = greeting(versions, this.#identity, { nowMs: now(), heartbeatMs })
    if ('code' in result) this.#end(id, result)
    else {
      this.#greeted = true
      this.#say(id, result)
    }
  }

  async #answer(frame: Exclude<NamesRequest, { readonly method: 'hello' }>): Promise<void> {
    this.#waiting++
    const work = frame.method === 'queues' ? this.#shell.queues(frame.params) : this.#renew(frame.params.token)
    this.#say(frame.id, await work.catch(() => fault('internal')))
    this.#waiting--
  }

  async #renew(token: string): Promise<object | Fault> {
    const { now, verify } = this.#shell
    const identity = (await verify?.(token)) ?? this.#identity
    if ('code' in identity) return identity
    if (identity.key !== this.#identity.key) return fault('user_mismatch')
    this.#identity = identity
    const { expiresAt } = identity
    return expiresAt === undefined ? {} : { expiresInMs: Math.max(0, expiresAt - now()) }
  }

  #say(id: number | null, result: object | Fault): void {
    if (this.#closed) return
    const said = 'code' in result ? answerError(0, id, result) : answer(0, id as number, result)
    for (const { text } of said) this.#port.send(text)
  }

  #end(id: number | null, reason: Fault): void {
    this.#closed = true
    for (const effect of farewell(0, id, reason))
      if (effect.name === 'send') this.#port.send(effect.text)
      else this.#port.close(effect.code, effect.reason)
  }
}

const AGAIN_MS = 100

/** A page of names that are all at hand. */
export function pageOfQueues(
  names: readonly string[],
  { after = '', limit = LIMITS.queuesPerPage }: QueuesParams,
): QueuesResult {
  const behind = names.filter((name) => name > after).sort()
  const queues = behind.slice(0, limit)
  const last = queues.at(-1)
  return { queues, ...(behind.length > limit && last !== undefined && { next: last }) }
}
