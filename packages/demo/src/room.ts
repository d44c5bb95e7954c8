import type { Gap, Mess, Message, MessError, Subscription, Topic } from '@messkit/sdk'
import { type Note, noteSchema } from './note.ts'

const NEWEST = 50
const PAGE = 50

/** What a topic's list shows, in the order in which it came. */
export type Line =
  | { readonly kind: 'message'; readonly message: Message<Note> }
  | { readonly kind: 'gap'; readonly gap: Gap }
  | { readonly kind: 'unreadable'; readonly offset: number; readonly error: MessError }

interface RoomOptions {
  readonly mess: Mess
  readonly topic: string
  readonly onLine: (line: Line) => void
  /** The server has told where the list begins. */
  readonly onStarted: () => void
}

/** One topic, followed live from its newest few messages on. After a lost connection the SDK goes on where it stopped. */
export class Room {
  readonly topic: Topic<Note>
  readonly #subscription: Subscription
  readonly #left = new AbortController()

  /** @throws {MessError} `bad_name` */
  constructor({ mess, topic, onLine, onStarted }: RoomOptions) {
    this.topic = mess.topic<Note>(topic, { schema: noteSchema })
    this.#subscription = this.topic.subscribe((message) => onLine({ kind: 'message', message }), {
      from: { last: NEWEST },
      onGap: (gap) => onLine({ kind: 'gap', gap }),
      onError: (error, { offset }) => {
        onLine({ kind: 'unreadable', offset, error })
        return 'skip'
      },
    })
    this.#subscription.ready.then(onStarted, () => {}) // why it cannot start is an `error` event
  }

  /** Messages before one that is shown, oldest first; fewer than a page: there are no more. */
  async before({ cursor, offset }: Message<Note>): Promise<Message<Note>[]> {
    // The cursor stands behind its message, so the first one read backwards is the message itself.
    const { messages } = await this.topic.history({
      from: cursor,
      reverse: true,
      limit: PAGE + 1,
      signal: this.#left.signal,
    })
    return messages.filter((message) => message.offset < offset).reverse()
  }

  /** What was stored before has come; from here on it is news. */
  get isLive(): boolean {
    return this.#subscription.state === 'live'
  }

  leave(): void {
    this.#subscription.stop()
    this.#left.abort()
  }
}

export const isWholePage = (messages: readonly unknown[]): boolean => messages.length >= PAGE
