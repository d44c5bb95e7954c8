import type { Ack, Receipt, Topic } from '@messkit/sdk'
import type { Drafts } from './drafts.ts'
import type { Note } from './note.ts'

/** A message written in this tab, from `publish()` until it comes back as everybody gets it. */
export interface Sent {
  readonly id: string
  readonly topic: string
  readonly text: string
  readonly sentAtMs: number
  /** What survives a reload; `undefined` until it is known, and for one of many. */
  safeOn: 'disk' | 'memory' | undefined
  ack: SentAck | undefined
}

export interface SentAck {
  /** `undefined` if it was stored so long ago that the server remembers only that it was. */
  readonly offset: number | undefined
  readonly duplicate: boolean
  readonly afterMs: number
}

interface OutgoingOptions {
  readonly user: string
  readonly drafts: Drafts
  /** One of them waits, is safe, was acked, or has gone. */
  readonly onChange: (sent: Sent) => void
}

/** What this tab has published and not seen coming back, oldest first. */
export class Outgoing {
  /** Since the page was loaded. */
  written = 0
  /** Without ack. */
  waiting = 0
  readonly #options: OutgoingOptions
  readonly #sent = new Map<string, Sent>()

  constructor(options: OutgoingOptions) {
    this.#options = options
  }

  /**
   * What a person typed: its text is kept for other tabs and for after a reload, and its row tells when it is safe.
   * @throws {MessError} the message, or the outbox, is too large
   */
  say(topic: Topic<Note>, text: string): void {
    this.follow({ topic: topic.name, text, receipt: this.#publish(topic, text) })
  }

  /** A typed message of which somebody else got the receipt. */
  follow(typed: { topic: string; text: string; receipt: Receipt }): void {
    const { drafts, onChange } = this.#options
    const { receipt } = typed
    const sent = this.#track(typed)
    drafts.note(sent.id, sent.text)
    receipt.stored.then(
      ({ durability }) => {
        sent.safeOn = durability
        onChange(sent)
      },
      () => {}, // the receipt fails, too, and says why
    )
    receipt.then(
      () => drafts.forget(sent.id),
      () => {}, // still in the outbox, perhaps as refused: somebody wants to read it there
    )
  }

  /**
   * One of many.
   * @throws {MessError} the outbox is too large
   */
  sendOneOfMany(topic: Topic<Note>, text: string, onAck: () => void): void {
    const receipt = this.#publish(topic, text)
    this.#track({ topic: topic.name, text, receipt })
    receipt.then(onAck, () => {})
  }

  /** It came back; its row among the messages takes over. */
  arrived(id: string): Sent | undefined {
    const sent = this.#sent.get(id)
    this.#sent.delete(id)
    return sent
  }

  in(topic: string): Sent[] {
    return [...this.#sent.values()].filter((sent) => sent.topic === topic)
  }

  /** Lets go of what was acked and will not be seen: in a topic that is not shown, or before the first message shown. */
  dropUnseen(shown: { topic: string; fromOffset: number }): void {
    for (const { id, topic, ack } of this.#sent.values()) {
      if (ack && (topic !== shown.topic || (ack.offset ?? -1) < shown.fromOffset)) this.#sent.delete(id)
    }
  }

  #publish(topic: Topic<Note>, text: string): Receipt {
    return topic.publish({ by: this.#options.user, text })
  }

  #track({ topic, text, receipt }: { topic: string; text: string; receipt: Receipt }): Sent {
    const sent: Sent = { id: receipt.id, topic, text, sentAtMs: performance.now(), safeOn: undefined, ack: undefined }
    this.#sent.set(sent.id, sent)
    this.written++
    this.waiting++
    receipt.then(
      (ack) => this.#acked(sent, ack),
      () => this.#settled(sent, true),
    )
    this.#options.onChange(sent)
    return sent
  }

  #acked(sent: Sent, { offset, duplicate }: Ack): void {
    sent.ack = { offset, duplicate, afterMs: performance.now() - sent.sentAtMs }
    this.#settled(sent, offset === undefined)
  }

  #settled(sent: Sent, leaves: boolean): void {
    this.waiting--
    if (leaves) this.#sent.delete(sent.id)
    this.#options.onChange(sent)
  }
}
