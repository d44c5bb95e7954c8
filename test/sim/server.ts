import type { LogEffect, LogEvent } from '../../packages/sdk/src/broker/machine.ts'
import { TopicLog } from '../../packages/sdk/src/broker/topic-log.ts'
import { makeEpoch } from '../../packages/sdk/src/protocol/epoch.ts'
import { decodeRequest } from '../../packages/sdk/src/protocol/requests.ts'
import { HEARTBEAT } from '../../packages/sdk/src/protocol/version.ts'
import { MemoryStore } from '../../packages/sdk/src/store/memory.ts'
import type { Commit, Loaded } from '../../packages/sdk/src/store/store.ts'
import { StoreFull } from '../../packages/sdk/src/store/store.ts'
import type { Connection } from './network.ts'
import type { World } from './world.ts'

export const TOPIC = 'sim'

/** The home of the topic: the real log over a store that can lose what is not durable, on a machine that crashes. */
export class Server {
  readonly #world: World
  /** What a crash leaves. Commits reach it when they become durable, or, by chance, when a crash cuts them off in between. */
  readonly #disk = new MemoryStore()
  readonly epoch: string
  #staged: Commit | undefined
  #log: TopicLog | undefined
  #life = 0
  #lastLink = 0
  readonly #links = new Map<number, Connection>()

  constructor(world: World) {
    this.#world = world
    this.epoch = makeEpoch(world.clock.now, world.random.next)
    this.#disk.load(this.epoch)
  }

  get up(): boolean {
    return this.#log !== undefined
  }

  start(): void {
    this.#life++
    const { retentionMessages } = this.#world.swarm
    this.#log = new TopicLog(this.#disk.load(this.epoch), {
      topic: TOPIC,
      retention: retentionMessages === undefined ? {} : { messages: retentionMessages },
      heartbeatMs: 25_000,
    })
  }

  /** Everything in memory is gone; what was committed and not durable may be there or not. */
  crash(): void {
    if (!this.#log) return
    this.#world.count('server crash')
    if (this.#staged) {
      this.#world.count('crash between commit and ack')
      if (this.#world.random.chance(0.5)) this.#disk.commit(this.#staged)
    }
    this.#staged = undefined
    this.#log = undefined
    this.#life++
    for (const connection of this.#links.values()) connection.serverGone()
    this.#links.clear()
    this.#world.clock.in(this.#world.random.between(1, 3_000), () => this.start())
  }

  accept(connection: Connection): number {
    const link = ++this.#lastLink
    this.#links.set(link, connection)
    this.#post({
      name: 'opened',
      link,
      state: { identity: { key: 'issuer user', user: 'user' }, greeted: false, subscriptions: [] },
    })
    return link
  }

  receive(link: number, text: string): void {
    // The platform answers this by itself, also for a machine that sleeps.
    if (text === HEARTBEAT.ask) this.#links.get(link)?.toClient(HEARTBEAT.answer)
    else this.#post({ name: 'frame', link, frame: decodeRequest(text) })
  }

  gone(link: number): void {
    this.#links.delete(link)
    this.#post({ name: 'closed', link })
  }

  /** The whole log as a reader would find it now, past the machine. */
  read(): { loaded: Loaded; messages: { offset: number; line: string }[] } {
    const loaded = this.#disk.load(this.epoch)
    const messages = this.#disk
      .read(0, Number.POSITIVE_INFINITY)
      .flatMap(({ first, body }) => body.split(',\n').map((line, i) => ({ offset: first + i, line })))
    return { loaded, messages }
  }

  #post(event: LogEvent): void {
    if (!this.#log) return
    for (const effect of this.#log.step(event, this.#world.clock.wall)) this.#perform(effect)
  }

  /** Answers of the store come after a while, and to nobody if the machine has crashed since. */
  #later(ms: number, event: () => LogEvent): void {
    const life = this.#life
    this.#world.clock.in(ms, () => {
      if (life === this.#life) this.#post(event())
    })
  }

  #perform(effect: LogEffect): void {
    const { random, swarm } = this.#world
    switch (effect.name) {
      case 'send':
        for (const link of effect.links) this.#links.get(link)?.toClient(effect.text)
        return
      case 'close':
        this.#links.get(effect.link)?.serverCloses(effect.code)
        this.#links.delete(effect.link)
        return
      case 'commit': {
        const { commit, write } = effect
        if (random.chance(swarm.commitFailure)) {
          this.#world.count('commit failed')
          this.#later(swarm.commitMs, () => ({ name: 'commit-failed', commit, error: new StoreFull('simulated') }))
          return
        }
        this.#staged = write
        this.#later(random.next() * swarm.commitMs, () => {
          this.#disk.commit(write)
          this.#staged = undefined
          return { name: 'durable', commit }
        })
        return
      }
      case 'read': {
        const { reader, direction, offset, maxBytes } = effect
        this.#later(random.next() * swarm.commitMs, () => ({
          name: 'chunks-read',
          reader,
          chunks: direction === 'on' ? this.#disk.read(offset, maxBytes) : this.#disk.readBefore(offset, maxBytes),
        }))
        return
      }
      case 'failed':
        this.#world.count('log discarded')
        this.#log = undefined
        this.#life++
        this.#staged = undefined
        for (const connection of this.#links.values()) connection.serverGone()
        this.#links.clear()
        this.#world.clock.in(1, () => this.start())
        return
      case 'wake-at':
        this.#later(Math.max(0, effect.at - this.#world.clock.now), () => ({ name: 'due' }))
        return
      case 'remember':
      case 'verify':
        return
    }
  }
}
