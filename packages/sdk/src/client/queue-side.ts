import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import { payloadFault } from '../protocol/payload.ts'
import { utf8Bytes } from '../protocol/text.ts'
import { queueAddress } from '../protocol/version.ts'
import type { Channel } from './channel.ts'
import { MessError } from './errors.ts'
import type { JobExtras } from './job-extras.ts'
import type { Mess } from './mess.ts'
import type { TopicOutbox } from './outbox.ts'
import type { Asking } from './session-events.ts'
import type { TopicHost } from './topic.ts'

/**
 * A client as one of its queues sees it. A queue is connected as a topic is, under an address of its own: the same session keeps the link,
 * renews the token and asks again, and the same outbox keeps what was enqueued until it is acked.
 */
export class QueueSide {
  readonly queue: string
  readonly #host: TopicHost
  readonly #address: string
  #known: Channel | undefined

  constructor(mess: Mess, queue: string) {
    this.queue = queue
    this.#host = insideOf(mess)
    this.#address = queueAddress(queue)
  }

  /** @throws {MessError} `closed` */
  get outbox(): Pick<TopicOutbox, 'add'> {
    return this.#channel.outbox
  }

  /** Now, and on each link until it is unasked. @throws {MessError} `closed` */
  ask(by: Asking): void {
    this.#channel.post({ name: 'ask', by })
  }

  /** Also once the client is closed. */
  unask(by: Asking): void {
    this.#known?.post({ name: 'unask', by })
  }

  /** Once, on this link or the next one. */
  answer<R>(method: string, params: object): Promise<R> {
    return new Promise((resolve, reject) => {
      const by: Asking = {
        method,
        params: { queue: this.queue, ...params },
        answered: (result, error) => {
          this.unask(by)
          if (error) reject(new MessError(error.code, error.message, { retryable: error.retryable }))
          else resolve(result as R)
        },
      }
      this.ask(by)
    })
  }

  /** What only some need. */
  async extras(): Promise<JobExtras> {
    return (await import('./job-extras.ts')).extrasOf(this, lineOf)
  }

  readonly report = (error: MessError): void => this.#host.report(error)

  /** A hook threw where nothing depends on it. */
  readonly failed = (message: string, cause: unknown): void =>
    this.report(new MessError('handler_failed', message, { cause }))

  /** Stopped when the client is closed, which waits for it. */
  track(worker: Parameters<TopicHost['track']>[0]): void {
    this.#host.track(worker)
  }

  get #channel(): Channel {
    // Asked each time: it says when the client is closed.
    this.#known = this.#host.channel(this.#address) as Channel
    return this.#known
  }
}

/** The JSON text of a value. @throws {MessError} `bad_payload`, `too_deep`, `message_too_large` */
export function lineOf(value: unknown, maxBytes: number = CLIENT_LIMITS.messageBytes): string {
  const fault = payloadFault(value)
  if (fault) throw new MessError(fault.code, fault.message, { scope: 'message' })
  const line = JSON.stringify(value)
  if (line.length * 3 > maxBytes && utf8Bytes(line) > maxBytes)
    throw new MessError('message_too_large', `A payload may have ${maxBytes} bytes`)
  return line
}

/** What a topic is given by its client. Asked for the way a cipher is handed it, so that clients without queues carry nothing for it. */
function insideOf(mess: Mess): TopicHost {
  let inside!: TopicHost
  const around = <R>(host: TopicHost, _: string, read: R): { host: TopicHost; read: R } => {
    inside = host
    return { host, read }
  }
  mess.topic('inside', { cipher: { around } })
  return inside
}
