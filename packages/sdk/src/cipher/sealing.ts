import { MessError } from '../client/errors.ts'
import { PendingReceipt, type Stored } from '../client/receipt.ts'
import type { TopicHost } from '../client/topic.ts'
import { randomName } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import { plainBytes } from './bounds.ts'
import { failed, failure } from './cipher.ts'
import type { Unsealed } from './envelope.ts'

interface Waiting extends Unsealed {
  readonly key: string | undefined
  readonly receipt: PendingReceipt
}

const ignore = (): void => {}

/** @throws {MessError} `message_too_large`, `outbox_full` */
export type Seal = (message: Unsealed, key: string | undefined) => PendingReceipt

/**
 * What one client publishes on one topic on its way into the outbox. Everything published in one go, and while the last is being sealed,
 * is sealed together and added in order. A message is in nobody's hands but ours until then, so its `stored` resolves later.
 */
export function sealing(host: TopicHost, topic: string): Seal {
  const origin = (host.channel(topic).outbox.origin ?? '') + randomName()
  const waiting: Waiting[] = []
  let number = 0
  let waitingBytes = 0
  let running: Promise<void> | undefined
  /** The newest that the outbox has taken. */
  let last: PendingReceipt | undefined

  const run = async (): Promise<void> => {
    // Not yet: more may be published before the caller is done.
    await undefined
    while (waiting.length > 0) {
      const batch = waiting.splice(0, CLIENT_LIMITS.messagesPerFrame)
      const lines = await Promise.all(batch.map((message) => message.seal().catch(failed)))
      for (const [i, line] of lines.entries()) {
        const { key, receipt, bytes } = batch[i] as Waiting
        waitingBytes -= bytes
        try {
          if (line instanceof MessError) throw line
          last = host.channel(topic).outbox.add(line, key, receipt)
        } catch (cause) {
          const error = failed(cause)
          receipt.fail(error)
          receipt.stored = Promise.reject(error)
          host.report(error)
          // Its number is missing now, and an outbox counts on what it is given in one go: the rest is the next.
          await last?.stored.catch(ignore)
        }
      }
    }
    host.underway.delete(running as Promise<void>)
    running = undefined
  }

  return (message, key) => {
    const { bytes } = message
    if (bytes > plainBytes)
      throw failure('message_too_large', `The message has ${bytes} bytes; ${plainBytes} are allowed (plainBytes)`)
    if (waiting.length >= CLIENT_LIMITS.outboxMessages || waitingBytes > CLIENT_LIMITS.outboxBytes)
      throw failure('outbox_full', 'The outbox is full')
    const receipt = pending(origin, ++number)
    waiting.push({ ...message, key, receipt })
    waitingBytes += bytes
    running ??= run()
    host.underway.add(running)
    return receipt
  }
}

/** A receipt whose `stored` is a promise before any outbox has the message. */
function pending(origin: string, number: number): PendingReceipt {
  const { promise, resolve } = Promise.withResolvers<Stored>()
  promise.catch(ignore)
  return Object.defineProperty(new PendingReceipt(origin, number), 'stored', { get: () => promise, set: resolve })
}
