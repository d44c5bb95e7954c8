import { MessError } from '../client/errors.ts'
import { type Message, type Read, type Received, Walk } from '../client/message.ts'
import { complain } from '../platform.ts'
import { replayIds } from './bounds.ts'
import { type Cipher, failed, failure } from './cipher.ts'
import { type Content, isSealed, open } from './envelope.ts'

const own = (): boolean => false

/** Ends a cursor; what comes before it is the same for all of one log. */
const OFFSET_CHARS = 16

/** The cursors of the newest messages that one reader has read, by the ids that were sealed. */
type Places = Map<string, string>

/** What became of payloads that were read, by themselves: whoever comes to one finds it here, and still has what was stored. */
const found = new WeakMap<object, { readonly content: Content | MessError; readonly places: Places }>()

/**
 * What was sealed, or `undefined` for what was not.
 * @throws {MessError} `cipher_unknown_key`, `cipher_failed`, `cipher_replayed`
 */
export function contentOf(raw: unknown, { cursor }: Pick<Message<unknown>, 'cursor'>): Content | undefined {
  const one = found.get(raw as object)
  if (!one) return undefined
  const { content, places } = one
  if (content instanceof MessError) throw content
  const at = places.get(content.id)
  // At the same place it is the same delivery again; at another place of the same log somebody has put it there.
  if (at && at !== cursor && at.startsWith(cursor.slice(0, -OFFSET_CHARS)))
    throw failure('cipher_replayed', 'Delivered before')
  places.set(content.id, cursor)
  if (places.size > replayIds) places.delete(places.keys().next().value as string)
  return content
}

/** Opens what one reader receives, and hands it on in order. */
export interface Opening {
  /** Resolves when all of them are opened, side by side. */
  open(received: Received, epoch: string): Promise<unknown>
  /** Somebody who is told what happens, each thing after what was told before is opened; who tells may wait for that. */
  inOrder<T extends object>(target: T): T
  /** Nothing is handed on any more. */
  stop(): void
}

export function opening(cipher: Cipher, topic: string): Opening {
  const places: Places = new Map()
  let last: Promise<unknown> | undefined
  let stopped = false

  const openAll = (received: Received, epoch: string): Promise<unknown> => {
    const all: Promise<unknown>[] = []
    const see: Read<void> = (raw, { key }) => {
      if (isSealed(raw))
        all.push(
          open(cipher, { topic, key }, raw)
            .catch(failed)
            .then((content) => found.set(raw, { content, places })),
        )
    }
    try {
      for (const walk = new Walk(received, { epoch, own }); !walk.done; walk.next()) walk.message(see)
    } catch {
      // What is no range is found again by whoever reads it.
    }
    return Promise.all(all)
  }

  return {
    open: openAll,
    inOrder: (target) =>
      new Proxy(target, {
        get:
          (_, name: keyof typeof target & string) =>
          (...facts: unknown[]): Promise<unknown> => {
            const ready = (name === 'batch' || name === 'add') && openAll(...(facts as [Received, string]))
            last = Promise.all([ready, last])
              .then(() => stopped || (target[name] as (...facts: unknown[]) => void).apply(target, facts))
              .catch(complain)
            return last
          },
      }),
    stop() {
      stopped = true
    },
  }
}
