import { now } from '../platform.ts'
import { encodePublish } from '../protocol/codec.ts'
import type { PublishResult } from '../protocol/frames/publish.ts'
import { queueAt } from '../protocol/version.ts'
import type { Trouble } from './errors.ts'
import { trouble } from './errors.ts'
import { isPublished } from './guards.ts'
import type { Line } from './line.ts'
import type { Batch, Publisher } from './publisher.ts'

/** An unacked publish is sent again after this long, and the link is given up after as long again, in ms. */
const PATIENCE_MS = 10_000
/** Frames on their way hold at most this many characters, whatever the window says. */
const WINDOW_CHARS = 4 * 1024 * 1024
/** Room for the head of a frame, ids included. */
const HEAD_BYTES = 4_096

interface Sent {
  readonly publisher: string
  readonly batch: Batch
  sentAt: number
  again: boolean
  /** Answers that may still come. */
  open: number
}

/**
 * The publish frames of a session that are on their way. Fates count in order. After a refusal, or when a frame or its end was turned
 * away, nothing more is sent until every answer is in (and the refusal recorded); then everything unsettled is sent again.
 */
export class Sending {
  readonly #line: Line
  readonly #publisher: () => Publisher
  readonly #sent = new Set<Sent>()
  #count = 0
  #chars = 0
  #hold: 'answers' | 'note' | undefined
  #holdUntil = 0

  constructor(line: Line, publisher: () => Publisher) {
    this.#line = line
    this.#publisher = publisher
  }

  get size(): number {
    return this.#publisher().size
  }

  /** When something has to be done if nothing happens. */
  get dueAt(): number {
    const [oldest] = this.#sent
    const late = oldest ? oldest.sentAt + PATIENCE_MS : Number.POSITIVE_INFINITY
    return this.#holdUntil > this.#line.now ? Math.min(late, this.#holdUntil) : late
  }

  /** The link is gone: everything unsettled goes out on the next one. */
  reset(): void {
    this.#sent.clear()
    this.#count = this.#chars = 0
    if (this.#hold === 'answers') this.#hold = undefined
    this.#publisher().rewind()
  }

  /** What was refused is recorded. */
  noted(): void {
    if (this.#hold === 'note') this.#hold = 'answers'
    this.flush()
  }

  flush(): void {
    const { online, now, limits } = this.#line
    if (!online || this.#hold === 'note' || this.#holdUntil > now) return
    const publisher = this.#publisher()
    if (this.#hold === 'answers') {
      if (this.#sent.size > 0) return
      this.#hold = undefined
      publisher.rewind()
    }
    while (this.#chars < WINDOW_CHARS) {
      const batch = publisher.take(
        Math.min(limits.messagesPerFrame, limits.publisherWindow - this.#count),
        limits.frameBytes - HEAD_BYTES,
      )
      if (!batch) return
      const sent: Sent = { publisher: publisher.id, batch, sentAt: now, again: false, open: 0 }
      this.#sent.add(sent)
      this.#count += batch.count
      this.#chars += batch.body.length
      this.#send(sent)
    }
  }

  /** A heartbeat proves the route and not the home: what is unacked for long is sent again once, then the link is given up. */
  late(): void {
    const [oldest] = this.#sent
    if (!oldest || this.#line.now - oldest.sentAt < PATIENCE_MS) return
    if (oldest.again) {
      this.#line.lose(trouble('link_lost'))
      return
    }
    oldest.again = true
    oldest.sentAt = this.#line.now
    this.#send(oldest)
  }

  #send(sent: Sent): void {
    const { publisher, batch } = sent
    const { first, after, ids, keys, body } = batch
    const { topic } = this.#line
    const queue = queueAt(topic)
    sent.open++
    const id = this.#line.expect((result, error) => {
      sent.open--
      if (!this.#sent.has(sent)) return
      if (error) this.#failed(sent, error)
      else if (isPublished(result)) this.#answered(sent, result)
      else this.#line.lose(trouble('bad_frame'))
    })
    // A job's options lie in the outbox as a message's key does.
    const params = queue
      ? { queue, sentAt: now(), each: keys?.map((key) => JSON.parse(key as string)) }
      : { topic, ids, keys }
    const text = encodePublish(id, { ...params, publisher, after, first }, body, queue && 'enqueue')
    this.#line.emit({ name: 'send', text })
  }

  #done(sent: Sent): void {
    this.#sent.delete(sent)
    this.#count -= sent.batch.count
    this.#chars -= sent.batch.body.length
  }

  #answered(sent: Sent, { epoch, fates, retryAfterMs }: PublishResult): void {
    this.#done(sent)
    const publisher = this.#publisher()
    // What a publisher that was given up had on its way is set aside already.
    if (sent.publisher === publisher.id) {
      // One that passes over an unsettled message, whose own frame was turned away, comes again with it.
      if (!publisher.settledBefore(sent.batch.first)) this.#holdForAnswers()
      else {
        if (fates.some(({ fate }) => fate === 'refused')) this.#hold = 'note'
        this.#line.emit({ name: 'fates', epoch, fates })
      }
      this.#pause(retryAfterMs)
    }
    this.flush()
  }

  #failed(sent: Sent, error: Trouble): void {
    // One that was sent twice is still on its way.
    if (sent.open > 0) return
    this.#done(sent)
    const publisher = this.#publisher()
    const { first, count, after } = sent.batch
    const { code, message, retryAfterMs } = error
    if (sent.publisher === publisher.id) {
      const missing = code === 'sequence_gap' || code === 'publisher_expired'
      if (missing && !this.#hold && after <= publisher.settled) {
        // Nothing is missing on this side: the home has lost what it once acked.
        this.#hold = 'note'
        this.#line.emit({ name: 'publisher-lost', error })
      } else if (!missing && !error.retryable && publisher.settledBefore(first)) {
        // The frame as such was not accepted, so none of its messages ever will be.
        this.#hold = 'note'
        this.#line.emit({ name: 'fates', epoch: '', fates: [{ fate: 'refused', first, count, code, message }] })
      } else this.#holdForAnswers()
      this.#pause(retryAfterMs)
    }
    this.flush()
  }

  /** The home says when what it did not take is worth sending again. */
  #pause(ms: number | undefined): void {
    if (!ms) return
    this.#holdForAnswers()
    this.#holdUntil = this.#line.now + ms
  }

  #holdForAnswers(): void {
    this.#hold ??= 'answers'
  }
}
