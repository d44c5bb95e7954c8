import { Consumer } from '../../packages/sdk/src/client/consumer.ts'
import { Publisher, type Unsent } from '../../packages/sdk/src/client/publisher.ts'
import { Session } from '../../packages/sdk/src/client/session.ts'
import type { SessionEffect, SessionEvent, Subscriber } from '../../packages/sdk/src/client/session-events.ts'
import { parseFrame } from '../../packages/sdk/src/protocol/codec.ts'
import { makeCursor, parseCursor } from '../../packages/sdk/src/protocol/cursor.ts'
import type { Fate } from '../../packages/sdk/src/protocol/frames/publish.ts'
import type { From } from '../../packages/sdk/src/protocol/frames/subscribe.ts'
import { HEARTBEAT } from '../../packages/sdk/src/protocol/version.ts'
import { Connection } from './network.ts'
import { TOPIC } from './server.ts'
import type { World } from './world.ts'

interface Message extends Unsent {
  readonly id: string
}

/** What a client's disk holds: its outbox and the positions of its subscriptions. */
interface Disk {
  publisher: string
  settled: number
  nextSequence: number
  readonly waiting: Map<number, Message>
  cursor: string | undefined
}

/**
 * A client as a browser would run it: the real session, publisher and consumer over a disk that survives crashes. Its subscription
 * resumes from the position saved after each handled message.
 */
export class Client {
  readonly name: string
  readonly #world: World
  readonly #disk: Disk
  #life = 0
  #down = false
  #publisherCount = 0
  #order = 0
  #session!: Session
  #publisher!: Publisher<Message>
  #consumer!: Consumer<{ id: string }>
  #connection: Connection | undefined
  readonly #queue: SessionEvent[] = []
  #running = false
  #from: From
  #subscribed = false
  #wakeAt = Number.POSITIVE_INFINITY

  /** Only told from others by the session; its effects are carried out here. */
  readonly #subscriber: Subscriber = { started() {}, batch() {}, gap() {}, failed() {} }

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.#from = world.random.pick(['now', 'start', 'start'] as const)
    this.#disk = { publisher: this.#newPublisher(), settled: 0, nextSequence: 1, waiting: new Map(), cursor: undefined }
    this.#boot()
  }

  get idle(): boolean {
    return this.#disk.waiting.size === 0
  }

  get position(): number | undefined {
    return this.#disk.cursor === undefined ? undefined : parseCursor(this.#disk.cursor)?.offset
  }

  get connection(): Connection | undefined {
    return this.#connection
  }

  #newPublisher(): string {
    return `publisher-${this.name}-${++this.#publisherCount}`
  }

  #boot(): void {
    this.#down = false
    this.#publisher = new Publisher(this.#disk.publisher, this.#disk.settled)
    for (const message of this.#disk.waiting.values()) this.#publisher.add(message)
    this.#session = new Session({ topic: TOPIC, publisher: () => this.#publisher, random: this.#world.random.next })
    this.#consumer = new Consumer<{ id: string }>({
      handler: (message) => this.#handle(message.data.id, message.offset, message.cursor),
      read: (raw) => raw as { id: string },
      onGap: (gap) => this.#world.record({ e: 'gap', sub: this.name, epoch: this.#world.server.epoch, ...gap }),
      onError: undefined,
      own: () => false,
      handled: (cursor, through) => {
        this.#disk.cursor = cursor
        if (through !== undefined) this.#post({ name: 'handled', by: this.#subscriber, cursor, through })
      },
      report: (error) => {
        throw error
      },
      later: (task, ms) => this.#later(ms, task),
      stop: () => {},
    })
    const from = (this.#disk.cursor as From | undefined) ?? this.#from
    this.#subscribed = false
    this.#wakeAt = Number.POSITIVE_INFINITY
    this.#post({ name: 'subscribe', by: this.#subscriber, from })
  }

  /** The tab dies. What its disk holds comes back with the next one. */
  crash(): void {
    if (this.#down) return
    this.#world.count('client crash')
    this.#down = true
    this.#life++
    this.#connection?.clientCloses()
    this.#connection = undefined
    this.#queue.length = 0
    this.#later(this.#world.random.between(1, 2_000), () => this.#boot())
  }

  publish(refused: boolean): void {
    if (this.#down) return
    const id = `${this.name}.${++this.#order}`
    this.#world.record({ e: 'publish', id, publisher: this.name, order: this.#order })
    const sequence = this.#disk.nextSequence++
    const line = refused
      ? `{"id":"${id}","refused":`
      : JSON.stringify({ id, pad: 'x'.repeat(this.#world.random.between(0, 60)) })
    const message: Message = { id, sequence, line, key: undefined, origin: this.#disk.publisher, number: sequence }
    this.#disk.waiting.set(sequence, message)
    this.#publisher.add(message)
    this.#post({ name: 'publish' })
  }

  #handle(id: string, offset: number, cursor: string): unknown {
    this.#world.record({
      e: 'deliver',
      sub: this.name,
      epoch: (parseCursor(cursor) as { epoch: string }).epoch,
      offset,
      id,
    })
    const handled = (): void => this.#world.record({ e: 'handled', sub: this.name, offset })
    if (!this.#world.random.chance(this.#world.swarm.asyncHandlers)) return handled()
    // A thenable of virtual time.
    return {
      // biome-ignore lint/suspicious/noThenProperty: it stands for a promise.
      then: (done: () => void) =>
        this.#later(this.#world.random.next() * 200, () => {
          handled()
          done()
        }),
    }
  }

  #later(ms: number, task: () => void): void {
    const life = this.#life
    this.#world.clock.in(ms, () => {
      if (life === this.#life) task()
    })
  }

  /** One alarm: an earlier time takes the place of a later one. */
  #wake(at: number): void {
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#later(Math.max(0, at - this.#world.clock.now), () => {
      if (this.#wakeAt !== at) return
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.#post({ name: 'due' })
    })
  }

  #post(event: SessionEvent): void {
    this.#queue.push(event)
    if (this.#running) return
    this.#running = true
    while (this.#queue.length > 0) {
      for (const effect of this.#session.step(this.#queue.shift() as SessionEvent, this.#world.clock.wall))
        this.#perform(effect)
    }
    this.#running = false
  }

  #perform(effect: SessionEffect): void {
    switch (effect.name) {
      case 'ask-token':
        this.#later(0, () => this.#post({ name: 'token', token: undefined }))
        return
      case 'open':
        this.#open(effect.generation)
        return
      case 'send':
        this.#connection?.toServer(effect.text)
        return
      case 'hang-up':
        this.#connection?.clientCloses()
        this.#connection = undefined
        return
      case 'wake-at':
        this.#wake(effect.at)
        return
      case 'started': {
        if (!this.#subscribed) {
          this.#subscribed = true
          const { epoch, next } = effect
          this.#world.record({ e: 'start', sub: this.name, epoch, next, resumed: this.#disk.cursor !== undefined })
          this.#disk.cursor ??= makeCursor(epoch, next)
        } else this.#world.count('resumed')
        return
      }
      case 'batch':
        if (effect.batch.first > 0 || effect.batch.messages.length > 1) this.#world.count('batch')
        this.#consumer.batch(effect.batch, effect.epoch)
        return
      case 'gap':
        this.#world.count('gap')
        this.#consumer.gap(effect.gap, effect.epoch, effect.through)
        return
      case 'fates':
        this.#settle(effect.epoch, effect.fates)
        return
      case 'publisher-lost':
        this.#abandon()
        return
      case 'connection':
        // As a channel does: whoever rests has no alarm.
        if (effect.state === 'idle') this.#wakeAt = Number.POSITIVE_INFINITY
        if (effect.state === 'stuck') throw new Error(`${this.name} is stuck: ${effect.error?.message}`)
        return
      case 'subscribe-failed':
        throw new Error(`${this.name} cannot subscribe: ${effect.error.message}`)
      case 'page':
        return
    }
  }

  #open(generation: number): void {
    const life = this.#life
    // What a dead tab's connection still says reaches nobody.
    const post = (event: SessionEvent): void => {
      if (life === this.#life) this.#post(event)
    }
    this.#connection = new Connection(this.#world, {
      opened: () => post({ name: 'opened', generation }),
      heard: (text) => {
        const frame = text === HEARTBEAT.answer ? 'heartbeat' : parseFrame(text)
        post({ name: 'heard', generation, frame, size: text.length })
      },
      lost: (code) => post({ name: 'lost', generation, code }),
    })
  }

  #settle(epoch: string, fates: readonly Fate[]): void {
    let refused: Message[] = []
    for (const fate of fates) {
      const settled = this.#publisher.settle(fate)
      if (fate.fate === 'refused') refused = settled
      else for (const message of settled) this.#acked(message, epoch, fate)
    }
    if (refused.length === 0) return
    // A refusal takes a while to be recorded, and a crash in between forgets it.
    this.#world.count('refused')
    this.#later(this.#world.random.next() * 50, () => {
      for (const { id, sequence } of refused) {
        this.#disk.waiting.delete(sequence)
        this.#world.record({ e: 'refused', id })
      }
      this.#post({ name: 'noted' })
    })
  }

  #acked({ id, sequence }: Message, epoch: string, { fate, first, offset }: Fate): void {
    if (fate === 'duplicate') this.#world.count('duplicate')
    this.#disk.waiting.delete(sequence)
    this.#disk.settled = sequence
    this.#world.record({
      e: 'acked',
      id,
      epoch,
      offset: offset === undefined ? undefined : offset + sequence - first,
      duplicate: fate === 'duplicate',
    })
  }

  #abandon(): void {
    this.#world.count('publisher lost')
    for (const { id } of this.#publisher.clear()) this.#world.record({ e: 'unknown', id, why: 'forgotten' })
    this.#disk.waiting.clear()
    Object.assign(this.#disk, { publisher: this.#newPublisher(), settled: 0, nextSequence: 1 })
    this.#publisher = new Publisher(this.#disk.publisher, 0)
    this.#post({ name: 'noted' })
  }
}
