import type { Port } from '../broker/home.ts'
import { now } from '../platform.ts'
import { encodeDeliver, encodeError, encodeHistory, encodeResult } from '../protocol/answers.ts'
import { encodeNotification, LINE_BREAK } from '../protocol/codec.ts'
import { makeCursor } from '../protocol/cursor.ts'
import { type Fault, fault } from '../protocol/error-codes.ts'
import type { DeliverParams } from '../protocol/frames/deliver.ts'
import type { HelloResult } from '../protocol/frames/hello.ts'
import type { HistoryResult } from '../protocol/frames/history.ts'
import type { GapFacts } from '../protocol/frames/subscribe.ts'
import { ANNOUNCED_LIMITS, LIMITS } from '../protocol/limits.ts'
import type { BadRequest, Request } from '../protocol/requests.ts'
import { readRequest } from '../protocol/trusted.ts'
import { HEARTBEAT, PROTOCOL } from '../protocol/version.ts'
import type { Channel } from './channel.ts'
import { MessError, type Trouble } from './errors.ts'
import type { SessionEffect, Subscriber } from './session-events.ts'

type Ask<M extends Request['method']> = Extract<Request, { method: M }>

/** Close codes: of what may work again at once, and of what will not. */
const BROKEN = 1006
const REFUSED = 4500

/** What a home says of itself; here the bounds are this tab's. */
const hello = (): HelloResult => ({
  version: PROTOCOL.current,
  limits: Object.fromEntries(ANNOUNCED_LIMITS.map((name) => [name, LIMITS[name]])) as HelloResult['limits'],
  nowMs: now(),
  features: [],
})

/**
 * One topic of a server, as the leading tab hands it on to the others: it looks like a home, and is a client. Every subscription of
 * another tab is one of the leader's own channel, with its own position and credit, so that a tab that is behind slows nobody.
 */
export class Relay {
  readonly #channel: Channel
  readonly #links = new Map<number, RelayedLink>()
  #lastLink = 0

  constructor(channel: Channel) {
    this.#channel = channel
  }

  attach(port: Pick<Port, 'send' | 'close'>): number {
    const number = ++this.#lastLink
    const close = (code: number): void => {
      this.detach(number)
      port.close(code, '')
    }
    this.#links.set(number, new RelayedLink(this.#channel, { send: port.send, close }))
    return number
  }

  receive(number: number, text: string): void {
    this.#links.get(number)?.receive(text)
  }

  detach(number: number): void {
    this.#links.get(number)?.end()
    this.#links.delete(number)
  }
}

interface RelayedPort {
  send(text: string): void
  close(code: number): void
}

class RelayedLink {
  readonly #channel: Channel
  readonly #port: RelayedPort
  readonly #subscriptions = new Map<number, Relayed>()
  readonly #reading = new AbortController()

  constructor(channel: Channel, port: RelayedPort) {
    this.#channel = channel
    this.#port = port
  }

  receive(text: string): void {
    if (text === HEARTBEAT.ask) this.#port.send(HEARTBEAT.answer)
    else this.#take(readRequest(text))
  }

  #take(request: Request | BadRequest): void {
    if (!('method' in request)) {
      this.#port.close(BROKEN)
      return
    }
    switch (request.method) {
      case 'hello':
        this.#answer(request.id, hello())
        return
      case 'subscribe':
        this.#subscribe(request)
        return
      case 'unsubscribe':
        this.#unsubscribe(request)
        return
      case 'credit':
        this.#subscriptions.get(request.params.subscription)?.credit(request.params.through)
        return
      case 'history':
        void this.#history(request)
        return
      default:
        // What other tabs publish goes through the outbox.
        this.#port.send(encodeError(request.id, fault('unknown_method')))
    }
  }

  end(): void {
    this.#reading.abort()
    for (const relayed of this.#subscriptions.values()) relayed.stop()
    this.#subscriptions.clear()
  }

  #answer(id: number, result: object): void {
    this.#port.send(encodeResult(id, result))
  }

  #subscribe({ id, params: { subscription, from } }: Ask<'subscribe'>): void {
    const relayed = new Relayed(this.#channel, this.#port, id, subscription)
    this.#subscriptions.set(subscription, relayed)
    this.#channel.post({ name: 'subscribe', by: relayed, from })
  }

  #unsubscribe({ id, params: { subscription } }: Ask<'unsubscribe'>): void {
    this.#subscriptions.get(subscription)?.stop()
    this.#subscriptions.delete(subscription)
    this.#answer(id, {})
  }

  async #history({ id, params: { topic: _, ...params } }: Ask<'history'>): Promise<void> {
    try {
      const page = await this.#channel.history(params, this.#reading.signal)
      this.#port.send(encodeHistory(id, factsOf(page), rangeOf(page)))
    } catch (error) {
      if (error instanceof MessError) this.#port.send(encodeError(id, faultOf(error)))
    }
  }
}

/** A subscription of another tab. */
class Relayed implements Subscriber {
  readonly #channel: Channel
  readonly #port: RelayedPort
  readonly #request: number
  readonly #subscription: number
  #epoch: string | undefined
  #gap: GapFacts | undefined

  constructor(channel: Channel, port: RelayedPort, request: number, subscription: number) {
    this.#channel = channel
    this.#port = port
    this.#request = request
    this.#subscription = subscription
  }

  started({ epoch, next, head }: Extract<SessionEffect, { name: 'started' }>): void {
    // After the first time it goes on where it stopped, and the other tab notices nothing.
    if (this.#epoch !== undefined) return
    this.#epoch = epoch
    const gap = this.#gap && { gap: this.#gap }
    this.#port.send(encodeResult(this.#request, { cursor: makeCursor(epoch, next), head, ...gap }))
  }

  batch(batch: DeliverParams): void {
    this.#port.send(encodeDeliver(this.#subscription, rangeOf(batch), batch.through))
  }

  gap(gap: GapFacts, _epoch: string, through: number | undefined): void {
    if (this.#epoch === undefined) this.#gap = gap
    else if (through === undefined) {
      // Found when the server was reached again, perhaps in another log: the tab asks anew, and is told with the answer.
      this.#port.close(BROKEN)
    } else this.#port.send(encodeNotification('gap', { subscription: this.#subscription, ...gap, through }))
  }

  failed(error: MessError): void {
    if (this.#epoch === undefined) this.#port.send(encodeError(this.#request, faultOf(error)))
    else this.#port.close(REFUSED)
  }

  /** The other tab grants up to a byte position, which is as far as it has handled and a window more. */
  credit(through: number): void {
    if (this.#epoch === undefined) return
    this.#channel.post({
      name: 'handled',
      by: this,
      cursor: makeCursor(this.#epoch, 0),
      through: through - LIMITS.creditBytes,
    })
  }

  stop(): void {
    this.#channel.post({ name: 'unsubscribe', by: this })
  }
}

const factsOf = ({ epoch, more, gap }: HistoryResult) => ({ epoch, more, ...(gap && { gap }) })

export const rangeOf = ({ first, next, runs, messages }: Omit<DeliverParams, 'subscription' | 'through'>) => ({
  first,
  next,
  runs: JSON.stringify(runs).slice(1, -1),
  body: messages.map((message) => JSON.stringify(message)).join(LINE_BREAK),
})

const faultOf = ({ code, message }: Trouble): Fault => fault(code, message)
