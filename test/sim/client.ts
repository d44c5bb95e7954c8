import { Publisher, type Unsent } from '../../packages/sdk/src/client/publisher.ts'
import { Session } from '../../packages/sdk/src/client/session.ts'
import type { SessionEffect, SessionEvent } from '../../packages/sdk/src/client/session-events.ts'
import { parseFrame } from '../../packages/sdk/src/protocol/codec.ts'
import type { Cursor } from '../../packages/sdk/src/protocol/cursor.ts'
import type { HistoryResult } from '../../packages/sdk/src/protocol/frames/history.ts'
import type { Fate } from '../../packages/sdk/src/protocol/frames/publish.ts'
import { HEARTBEAT } from '../../packages/sdk/src/protocol/version.ts'
import { Connection } from './network.ts'
import { HistoryReader } from './reader.ts'
import { TOPIC } from './server.ts'
import { digestOf, type Plan, Subscription, type Subscriptions } from './subscription.ts'
import type { Broken } from './swarm.ts'
import { Unsubscribed } from './unsubscribed.ts'
import type { World } from './world.ts'

interface Message extends Unsent {
  readonly id: string
}

/** A client reads this many histories at once. */
const READERS = 3

/** What a client's disk holds: its outbox, and the positions of its subscriptions. */
interface Disk {
  publisher: string
  settled: number
  nextSequence: number
  readonly waiting: Map<number, Message>
}

/**
 * A client as a browser would run it: the real session, publisher and consumers over a disk that survives crashes, with a clock and
 * timers of its own.
 */
export class Client implements Subscriptions {
  readonly name: string
  readonly world: World
  readonly cursors = new Map<string, Cursor>()
  readonly #disk: Disk
  readonly #plans: Plan[]
  /** Its messages come from another publisher, and keep the names that they were given there. */
  readonly #adopts: boolean
  #broken: Broken | undefined
  #life = 0
  #down = false
  #publisherCount = 0
  #planCount = 0
  #readerCount = 0
  #order = 0
  #session!: Session
  #publisher!: Publisher<Message>
  #connection: Connection | undefined
  #generation = 0
  #unsubscribed: Unsubscribed | undefined
  readonly #subscriptions = new Set<Subscription>()
  readonly #readers = new Set<HistoryReader>()
  readonly #queue: SessionEvent[] = []
  #running = false
  #alarmAt = Number.POSITIVE_INFINITY
  /** What comes in while it sleeps. */
  #asleep: (() => void)[] | undefined
  #bootedAt = 0
  #rate = 1
  #token: string | undefined
  #usedToken: string | undefined
  #acked: { epoch: string; offset: number } | undefined

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
    this.#adopts = world.random.chance(0.2)
    this.#disk = { publisher: this.#newPublisher(), settled: 0, nextSequence: 1, waiting: new Map() }
    this.#plans = Array.from({ length: world.swarm.subscriptions }, () => this.#plan())
    this.#boot()
  }

  // ---- what can be seen of it

  get connection(): Connection | undefined {
    return this.#connection
  }

  get handles(): boolean {
    return this.#broken !== 'never handles'
  }

  get waiting(): readonly string[] {
    return [...this.#disk.waiting.values()].map(({ id }) => id)
  }

  /** Subscriptions that are open and must get everything. */
  get open(): readonly string[] {
    return this.handles ? [...this.#subscriptions].map(({ plan }) => plan.name) : []
  }

  rests(epoch: string, head: number): boolean {
    return (
      !this.#down &&
      this.#disk.waiting.size === 0 &&
      this.#readers.size === 0 &&
      (!this.handles || [...this.#subscriptions].every((subscription) => subscription.reached(epoch, head)))
    )
  }

  // ---- what happens to it

  /** The tab dies, or is closed. What its disk holds comes back with the next one. */
  crash(): void {
    if (this.#down) return
    const closed = this.world.random.chance(0.3)
    this.world.fault(closed ? 'client closed' : 'client crash')
    if (closed) {
      for (const subscription of this.#subscriptions) subscription.stop()
      this.post({ name: 'close' })
    }
    this.#down = true
    this.#life++
    this.#connection?.clientCloses()
    this.#connection = undefined
    this.#asleep = undefined
    this.#queue.length = 0
    this.#running = false
    this.#subscriptions.clear()
    this.#readers.clear()
    this.#plans.forEach((plan, i) => {
      if (!plan.resumes) this.#plans[i] = this.#plan()
    })
    this.#later(this.world.random.between(1, 2_000), () => this.#boot())
  }

  /** The device sleeps: its timers are late, and what is sent to it is read when it wakes. */
  sleep(ms = this.world.random.between(1_000, 120_000)): void {
    if (this.#down || this.#asleep) return
    this.world.fault('client sleeps')
    this.#asleep = []
    const life = this.#life
    this.world.clock.in(ms, () => {
      if (life === this.#life) this.wake()
    })
  }

  wake(): void {
    const missed = this.#asleep
    if (!missed || this.#broken === 'asleep') return
    this.#asleep = undefined
    for (const task of missed) task()
    if (this.world.random.chance(0.5)) this.hint()
  }

  hint(): void {
    if (!this.#down && !this.#asleep) this.post({ name: 'hint' })
  }

  /** A subscription is stopped, and after a while goes on; or one without a position begins anew. */
  resubscribe(): void {
    if (this.#down || this.#asleep || this.#subscriptions.size === 0) return
    this.world.count('unsubscribed')
    this.#leave(this.world.random.pick([...this.#subscriptions]))
  }

  #leave(subscription: Subscription): void {
    subscription.stop()
    this.#subscriptions.delete(subscription)
    const i = this.#plans.indexOf(subscription.plan)
    if (!subscription.plan.resumes) this.#plans[i] = this.#plan()
    this.#later(this.world.random.next() * 10_000, () => this.#subscribe(this.#plans[i] as Plan))
  }

  /** @param done is told what was read, unless its log was made anew in between */
  read(reverse: boolean, done: (pages: readonly HistoryResult[]) => void = () => {}): void {
    if (this.#down || this.#asleep || this.#readers.size >= READERS) return
    const name = `${this.name}.h${++this.#readerCount}`
    const reader: HistoryReader = new HistoryReader(this, {
      name,
      reverse,
      acked: this.#acked,
      done: (pages) => {
        this.#readers.delete(reader)
        if (pages) done(pages)
      },
    })
    this.#readers.add(reader)
  }

  publish(refused: boolean): void {
    if (this.#down || this.#asleep) return
    const { random, swarm } = this.world
    const sequence = this.#disk.nextSequence++
    const order = ++this.#order
    const [origin, number] = this.#adopts ? [`origin-of-${this.name}`, order] : [this.#disk.publisher, sequence]
    const id = `${origin}-${number}`
    const key = random.chance(swarm.keyedShare) ? random.pick(['a', 'key', 'ключ']) : undefined
    const pad = 'x'.repeat(random.between(0, 60))
    this.world.record({ e: 'publish', id, publisher: this.name, order, digest: digestOf({ key, pad }) })
    const line = refused ? `{"id":"${id}","refused":` : `{"id":"${id}","pad":"${pad}"}`
    const message: Message = { id, sequence, line, key, origin, number }
    this.#disk.waiting.set(sequence, message)
    this.#publisher.add(message)
    this.post({ name: 'publish' })
  }

  /** The faults are over, for all but the broken. */
  heal(broken: Broken | undefined): void {
    this.#broken = broken
    this.wake()
    if (broken === 'asleep') this.sleep()
    if (broken === 'cut off') this.#connection?.block()
    else this.#connection?.heal()
    if (broken !== 'never handles') for (const subscription of this.#subscriptions) subscription.release()
    // Somebody looks at it.
    this.hint()
  }

  // ---- its life

  #newPublisher(): string {
    return `publisher-${this.name}-${++this.#publisherCount}`
  }

  #plan(): Plan {
    const { random } = this.world
    const from = random.pick(['now', 'start', 'start', { last: random.between(1, 20) }] as const)
    return { name: `${this.name}.s${++this.#planCount}`, from, resumes: random.chance(0.7) }
  }

  #boot(): void {
    this.#down = false
    this.#bootedAt = this.world.clock.now
    this.#rate = 1 + (this.world.random.next() * 2 - 1) * this.world.swarm.drift
    this.#token = this.#usedToken = undefined
    this.#publisher = new Publisher(this.#disk.publisher, this.#disk.settled)
    for (const message of this.#disk.waiting.values()) this.#publisher.add(message)
    this.#session = new Session({
      topic: TOPIC,
      user: this.name,
      publisher: () => this.#publisher,
      random: this.world.random.next,
    })
    this.#alarmAt = Number.POSITIVE_INFINITY
    for (const plan of this.#plans) this.#subscribe(plan)
    this.post({ name: 'publish' })
  }

  #subscribe(plan: Plan): void {
    this.#subscriptions.add(new Subscription(this, plan))
  }

  // ---- its clock and timers

  /** As `performance.now()`: since it was started, by a clock that is not quite right. */
  get #elapsed(): number {
    return (this.world.clock.now - this.#bootedAt) * this.#rate
  }

  later(ms: number, task: () => void): void {
    this.#later(ms, task)
  }

  #later(ms: number, task: () => void): void {
    const life = this.#life
    this.world.clock.in(ms, () => {
      if (life !== this.#life) return
      if (this.#asleep) this.#asleep.push(task)
      else task()
    })
  }

  /** One alarm: an earlier time takes the place of a later one. Timers count whole milliseconds, and may be late. */
  #wake(at: number): void {
    if (at >= this.#alarmAt) return
    this.#alarmAt = at
    const ms = Math.max(1, Math.floor(at - this.#elapsed)) / this.#rate
    const late = this.world.chance(0.5) ? this.world.random.next() * this.world.swarm.lateTimerMs : 0
    this.#later(ms + late, () => {
      if (this.#alarmAt !== at) return
      this.#alarmAt = Number.POSITIVE_INFINITY
      this.post({ name: 'due' })
    })
  }

  // ---- its session

  post(event: SessionEvent): void {
    this.#queue.push(event)
    if (this.#running) return
    this.#running = true
    while (this.#queue.length > 0) {
      for (const effect of this.#session.step(this.#queue.shift() as SessionEvent, this.#elapsed)) this.#perform(effect)
    }
    this.#running = false
  }

  #perform(effect: SessionEffect): void {
    switch (effect.name) {
      case 'ask-token':
        this.#askToken(effect.why)
        return
      case 'open':
        this.#open(effect.generation, effect.token)
        return
      case 'send':
        this.#unsubscribed?.sent(effect.text)
        this.#connection?.toServer(effect.text)
        return
      case 'hang-up':
        this.#connection?.clientCloses()
        this.#connection = undefined
        return
      case 'wake-at':
        this.#wake(effect.at)
        return
      case 'started':
        effect.by.started(effect)
        return
      case 'batch':
        effect.by.batch(effect.batch, effect.epoch)
        return
      case 'gap':
        effect.by.gap(effect.gap, effect.epoch, effect.through)
        return
      case 'answered':
        effect.by.answered(effect.result, effect.error)
        return
      // No home of a topic says anything that is no message.
      case 'told':
        return
      case 'fates':
        this.#settle(effect.epoch, effect.fates)
        // Nothing may be left that wants the link.
        if (this.#publisher.size === 0) this.post({ name: 'publish' })
        return
      case 'publisher-lost':
        this.#abandon()
        return
      case 'connection':
        this.#connected(effect)
        return
      case 'subscribe-failed':
        this.#turnedAway(effect)
    }
  }

  /** Its application tries again after a while: it has been told, and nothing else would make it right. */
  #turnedAway({ by, error }: Extract<SessionEffect, { name: 'subscribe-failed' }>): void {
    if (error.code !== 'forbidden' || !this.world.rights)
      throw new Error(`${this.name} cannot subscribe: ${error.message}`)
    this.world.count('subscribe forbidden')
    this.#leave(by as Subscription)
  }

  #connected({ state, error }: Extract<SessionEffect, { name: 'connection' }>): void {
    // As a channel does: whoever rests has no alarm.
    if (state === 'idle') this.#alarmAt = Number.POSITIVE_INFINITY
    if (state !== 'stuck') return
    this.world.count('stuck')
    if (!this.world.swarm.tokens) throw new Error(`${this.name} is stuck: ${error?.message}`)
  }

  #open(generation: number, token: string | undefined): void {
    const life = this.#life
    this.#generation = generation
    // What a dead tab's connection still says reaches nobody.
    const hear = (task: () => void): void => {
      if (life !== this.#life) return
      if (this.#asleep) this.#asleep.push(task)
      else task()
    }
    const unsubscribed = new Unsubscribed(this.world)
    this.#unsubscribed = unsubscribed
    this.#connection = new Connection(
      this.world,
      {
        opened: () => hear(() => this.post({ name: 'opened', generation })),
        heard: (text) =>
          hear(() => {
            if (generation !== this.#generation) this.world.count('heard of an old connection')
            const frame = text === HEARTBEAT.answer ? 'heartbeat' : parseFrame(text)
            if (frame !== 'heartbeat' && frame) unsubscribed.heard(frame)
            this.post({ name: 'heard', generation, frame, size: text.length })
          }),
        lost: (code) => hear(() => this.post({ name: 'lost', generation, code })),
      },
      token,
    )
    if (this.#broken === 'cut off') this.#connection.block()
  }

  /** As `Tokens` does with the application's callback. */
  #askToken(why: 'first' | 'expiring' | 'refused'): void {
    if (why === 'refused' && this.#token === this.#usedToken) this.#token = undefined
    if (this.#token !== undefined && (why === 'first' || this.#token !== this.#usedToken)) {
      const token = this.#token
      this.#later(0, () => this.#useToken(token))
      return
    }
    const { afterMs, token } = this.world.issuer.ask(this.name)
    this.#later(afterMs, () => {
      if (this.world.swarm.tokens && token === undefined) this.post({ name: 'token-failed' })
      else this.#useToken(token)
    })
  }

  #useToken(token: string | undefined): void {
    this.#token = this.#usedToken = token
    this.post({ name: 'token', token })
  }

  // ---- its outbox

  #settle(epoch: string, fates: readonly Fate[]): void {
    let refused: Message[] = []
    for (const fate of fates) {
      const settled = this.#publisher.settle(fate)
      if (fate.code === 'forbidden') this.world.count('publish forbidden')
      if (fate.fate === 'refused') refused = settled
      else for (const message of settled) this.#accept(message, epoch, fate)
    }
    if (refused.length === 0) return
    // A refusal takes a while to be recorded, and a crash in between forgets it.
    this.world.count('refused')
    this.#later(this.world.random.next() * 50, () => {
      for (const { id, sequence } of refused) {
        this.#disk.waiting.delete(sequence)
        this.world.record({ e: 'refused', id })
      }
      this.post({ name: 'noted' })
    })
  }

  #accept({ id, sequence }: Message, epoch: string, { fate, first, offset: from }: Fate): void {
    if (fate === 'duplicate') this.world.count('duplicate')
    this.#disk.waiting.delete(sequence)
    this.#disk.settled = sequence
    const offset = from === undefined ? undefined : from + sequence - first
    if (offset !== undefined) this.#acked = { epoch, offset }
    this.world.record({ e: 'acked', id, epoch, offset, duplicate: fate === 'duplicate' })
  }

  #abandon(): void {
    this.world.count('publisher forgotten')
    for (const { id } of this.#publisher.clear()) this.world.record({ e: 'unknown', id, why: 'forgotten' })
    this.#disk.waiting.clear()
    Object.assign(this.#disk, { publisher: this.#newPublisher(), settled: 0, nextSequence: 1 })
    this.#publisher = new Publisher(this.#disk.publisher, 0)
    this.post({ name: 'noted' })
  }
}
