import { Consumer, type RawMessage, type Verdict } from '../../packages/sdk/src/client/consumer.ts'
import type { Gap, MessError } from '../../packages/sdk/src/client/errors.ts'
import type { Message } from '../../packages/sdk/src/client/message.ts'
import type { SessionEffect, SessionEvent, Subscriber } from '../../packages/sdk/src/client/session-events.ts'
import { type Cursor, makeCursor, parseCursor } from '../../packages/sdk/src/protocol/cursor.ts'
import type { DeliverParams } from '../../packages/sdk/src/protocol/frames/deliver.ts'
import type { From } from '../../packages/sdk/src/protocol/frames/subscribe.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { Later } from './later.ts'
import type { World } from './world.ts'

/** What a message of the simulation carries. */
export interface Payload {
  readonly id: string
  readonly pad: string
}

/** Stands for the bytes of a message: what goes another way than its payload does is in it. */
export const digestOf = ({ key, pad }: { key: string | undefined; pad: string }): string => `${key ?? ''} ${pad.length}`

/** What it needs of its client. */
export interface Subscriptions {
  readonly name: string
  readonly world: World
  /** Positions that survive the client. */
  readonly cursors: Map<string, Cursor>
  /** Its handlers come to an end. */
  readonly handles: boolean
  later(ms: number, task: () => void): void
  post(event: SessionEvent): void
}

export interface Plan {
  readonly name: string
  readonly from: From
  /** Goes on where it stopped, also after a crash. */
  readonly resumes: boolean
}

/** A subscription as an application has it: the real consumer, with handlers of every kind. */
export class Subscription implements Subscriber {
  readonly plan: Plan
  readonly #client: Subscriptions
  readonly #world: World
  readonly #consumer: Consumer<Payload>
  #begun = false
  #stopped = false
  /** The message at hand was entered before, and its handler threw. */
  #again = false
  /** The byte position of the log behind what was received, and what of it is not handled. */
  #epoch = ''
  #received: number | undefined
  #unhandled: { readonly through: number; readonly bytes: number }[] = []
  /** The log's end when the link was new. */
  #head = 0
  #pages = 0
  #release: (() => void) | undefined

  constructor(client: Subscriptions, plan: Plan) {
    this.#client = client
    this.#world = client.world
    this.plan = plan
    this.#consumer = new Consumer<Payload>({
      handler: (message) => this.#handle(message),
      read: (raw) => raw as Payload,
      onGap: (gap) => this.#onGap(gap as Gap & { epoch: string }),
      onError: (error, message) => this.#judge(error, message),
      own: () => false,
      handled: (cursor, through) => this.#moved(cursor, through),
      report: (error) => {
        throw error
      },
      later: (task, ms) => client.later(ms, task),
      stop: () => {},
    })
    this.#epoch = parseCursor(this.#cursor)?.epoch ?? ''
    client.post({ name: 'subscribe', by: this, from: this.#cursor ?? plan.from })
  }

  get #cursor(): Cursor | undefined {
    return this.#client.cursors.get(this.plan.name)
  }

  /** Everything up to an offset was handled. */
  reached(epoch: string, head: number): boolean {
    return this.#begun && this.#cursor === makeCursor(epoch, head)
  }

  /** A handler that would not have ended. */
  release(): void {
    this.#release?.()
    this.#release = undefined
  }

  stop(): void {
    this.#stopped = true
    this.#consumer.stop()
    this.#client.post({ name: 'unsubscribe', by: this })
  }

  // ---- from the session

  started({ epoch, next, head }: Extract<SessionEffect, { name: 'started' }>): void {
    if (this.#epoch !== '' && this.#epoch !== epoch)
      throw new Error(`${this.plan.name} goes on in another log, unasked`)
    if (this.#begun) this.#world.count('resumed')
    this.#begin(epoch, next)
    if (!this.#cursor) this.#client.cursors.set(this.plan.name, makeCursor(epoch, next))
    this.#at(epoch)
    this.#head = head
    this.#pages = 0
  }

  batch(batch: DeliverParams, epoch: string): void {
    if (this.#stopped) throw new Error(`${this.plan.name} is stopped and gets messages`)
    if (batch.first < this.#head && ++this.#pages > 1) this.#world.count('resumed in pages')
    // Where a range begins inside a row, its home counts from the row's start.
    const limit = LIMITS.creditBytes + this.#world.server.disk.largestRow
    const value = this.#unhandled.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#world.record({ e: 'sample', bound: 'creditBytes', value, limit })
    this.#unhandled.push({ through: batch.through, bytes: batch.through - (this.#received ?? batch.through) })
    this.#received = batch.through
    this.#consumer.batch(batch, epoch)
  }

  gap(gap: Gap, epoch: string, through: number | undefined): void {
    this.#world.count(`gap: ${gap.reason}`)
    if (this.#pages > 0 && gap.from < this.#head) this.#world.count('trimmed during resume')
    const cursor = parseCursor(this.#cursor)
    if (cursor) this.#begin(cursor.epoch, cursor.offset)
    this.#at(epoch)
    this.#received = through
    this.#consumer.gap({ ...gap, epoch } as Gap, epoch, through)
  }

  /** Byte positions are those of one epoch. */
  #at(epoch: string): void {
    if (epoch === this.#epoch) return
    this.#epoch = epoch
    this.#received = undefined
    this.#unhandled = []
  }

  failed(error: MessError): void {
    throw error
  }

  #begin(epoch: string, next: number): void {
    if (this.#begun) return
    this.#begun = true
    this.#world.record({ e: 'start', sub: this.plan.name, epoch, next, resumed: this.#cursor !== undefined })
  }

  // ---- from the consumer

  #moved(cursor: Cursor, through: number | undefined): void {
    this.#client.cursors.set(this.plan.name, cursor)
    if (through === undefined) return
    if (cursor.startsWith(this.#epoch)) this.#unhandled = this.#unhandled.filter((batch) => batch.through > through)
    this.#client.post({ name: 'handled', by: this, cursor, through })
  }

  #onGap({ from, to, reason, epoch }: Gap & { epoch: string }): unknown {
    this.#world.record({ e: 'trimmed', floor: this.#world.server.floor(epoch) })
    this.#world.record({ e: 'gap', sub: this.plan.name, epoch, from, to, reason })
    if (reason === 'access') this.#lackedTheRight(to)
    return this.#world.random.chance(this.#world.swarm.asyncHandlers) ? this.#inAWhile(() => {}) : undefined
  }

  #lackedTheRight(to: number): void {
    const limit = this.#world.rights?.farthest(this.#client.name) ?? 0
    this.#world.record({ e: 'sample', bound: 'gap for want of a right', value: to, limit })
  }

  #handle({ data, id, offset, cursor, key }: Message<Payload>): unknown {
    const { random, swarm } = this.#world
    if (data.id !== id) throw new Error(`${data.id} was delivered as ${id}`)
    if (!this.#again) {
      const { epoch } = parseCursor(cursor) as { epoch: string }
      this.#world.record({
        e: 'deliver',
        sub: this.plan.name,
        epoch,
        offset,
        id,
        digest: digestOf({ key, pad: data.pad }),
      })
    }
    const throws = this.#world.chance(swarm.throwingHandlers)
    const work = (): void => {
      if (throws) throw new HandlerFailed()
      this.#done(offset)
    }
    if (this.#world.chance(swarm.stuckHandlers) || !this.#client.handles) {
      this.#world.fault('handler never ends')
      const never = new Later<void>()
      this.#release = () => never.try(work)
      return never
    }
    return random.chance(swarm.asyncHandlers) ? this.#inAWhile(work) : work()
  }

  #inAWhile(work: () => void): Later<void> {
    const later = new Later<void>()
    this.#client.later(this.#world.random.next() ** 4 * 2_000, () => later.try(work))
    return later
  }

  #done(offset: number): void {
    this.#again = false
    if (!this.#stopped) this.#world.record({ e: 'handled', sub: this.plan.name, offset })
  }

  #judge(error: MessError, { offset }: RawMessage): Verdict {
    if (!(error.cause instanceof HandlerFailed)) throw error
    this.#world.fault('handler threw')
    this.#again = this.#world.random.chance(0.5)
    if (this.#again) return { retryInMs: this.#world.random.next() * 500 }
    this.#done(offset)
    return 'skip'
  }
}

class HandlerFailed extends Error {
  override readonly name = 'HandlerFailed'
}
