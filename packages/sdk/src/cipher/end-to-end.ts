import type { Subscriber } from '../client/session-events.ts'
import type { TopicChannel, TopicCipher, TopicHost } from '../client/topic.ts'
import { type Cipher, failure } from './cipher.ts'
import { type Content, isSealed, open, unsealed } from './envelope.ts'
import { contentOf, type Opening, opening } from './opening.ts'
import { type Seal, sealing } from './sealing.ts'

export interface EndToEndOptions {
  /**
   * Let through what was not sealed, for as long as a topic holds such messages. Whoever keeps the topic can write what it likes
   * meanwhile. Default false.
   */
  readonly allowPlaintext?: boolean
}

type Readable = Pick<Content, 'by' | 'data'>

/** By the connection, so that handles on one topic share it. */
const sealings = new WeakMap<TopicChannel, Seal>()

/**
 * What a topic is given as its `cipher`. Everything published is sealed once, before it is stored anywhere, and opened when it is read; what
 * does not open is an error for `onError`, with what was stored.
 */
export function endToEnd(cipher: Cipher, { allowPlaintext }: EndToEndOptions = {}): TopicCipher {
  const plain = (data: unknown): Readable => {
    if (allowPlaintext) return { by: null, data }
    throw failure('cipher_plaintext', 'The message was not sealed')
  }

  return {
    around(host, topic, read) {
      let sealed: TopicChannel | undefined
      const begin = (): Opening => opening(cipher, topic)

      const sealedChannel = (channel: TopicChannel): TopicChannel => {
        const seal = sealings.get(channel) ?? sealing(host, topic)
        sealings.set(channel, seal)
        const readers = new WeakMap<Subscriber, { stop(): void; readonly by: Subscriber }>()
        return {
          outbox: {
            owns: (publisher) => channel.outbox.owns(publisher),
            add: (line, key) => seal(unsealed(cipher, { topic, key }, host.user, line), key),
          },
          get reach() {
            return channel.reach
          },
          post(event) {
            const { name, by } = event
            if (name === 'subscribe') {
              const { stop, inOrder } = begin()
              readers.set(by, { stop, by: inOrder(by) })
            }
            const reader = readers.get(by)
            // Who stops before it has begun has nothing to stop.
            if (!reader) return
            if (name === 'unsubscribe') reader.stop()
            channel.post({ ...event, by: reader.by })
          },
          async history(params, signal) {
            const page = await channel.history(params, signal)
            await begin().open(page, page.epoch)
            return page
          },
        }
      }

      const around: Pick<TopicHost, 'channel' | 'own' | 'feed'> = {
        channel: () => {
          // Asked each time: it says when the client is closed.
          const channel = host.channel(topic)
          sealed ??= sealedChannel(channel)
          return sealed
        },
        async own(line, key) {
          const raw: unknown = JSON.parse(line)
          const { data } = isSealed(raw) ? await open(cipher, { topic, key }, raw) : plain(raw)
          return JSON.stringify(data)
        },
        feed: (_, options, events) => host.feed(topic, options, begin().inOrder(events)),
      }

      return {
        // What it has besides, it has of its own client.
        host: Object.assign(Object.create(host) as TopicHost, around),
        read(raw, message) {
          const { by, data } = contentOf(raw, message) ?? plain(raw)
          if (by) message.by = by
          return read(data, message)
        },
      }
    },
  }
}
