import { type Port, TopicHome } from '../../packages/sdk/src/broker/home.ts'
import type { Identity, LinkState, SubscriptionState } from '../../packages/sdk/src/broker/machine.ts'
import { readsLess } from '../../packages/sdk/src/broker/rights.ts'
import { encodeError, encodeGoodbye } from '../../packages/sdk/src/protocol/answers.ts'
import { makeEpoch } from '../../packages/sdk/src/protocol/epoch.ts'
import { ERRORS, type Fault, fault } from '../../packages/sdk/src/protocol/error-codes.ts'
import { decodeRequest } from '../../packages/sdk/src/protocol/requests.ts'
import { HEARTBEAT } from '../../packages/sdk/src/protocol/version.ts'
import { Disk } from './disk.ts'
import { Later } from './later.ts'
import type { Connection } from './network.ts'
import type { World } from './world.ts'

export const TOPIC = 'sim'
const DAY_MS = 24 * 3_600_000
const NEVER = Number.POSITIVE_INFINITY
/** A link whose token has expired may be served this long until the alarm has rung, in ms. */
const GRACE_MS = 1_000
/** How soon it is seen whether a home has loaded what it had to, in ms. */
const LOADING_MS = 5
const PUBLISH = /^\{"jsonrpc":"2.0","id":\d+,"method":"publish"/
const DELIVER = '{"jsonrpc":"2.0","method":"deliver"'

/** A link as the platform keeps it while the home is out of memory. */
export interface ServerEnd {
  readonly name: string
  readonly connection: Connection
  state: LinkState
  link: number
}

/**
 * The machine of the topic: the real home over a disk that fails, on a machine that crashes, hibernates with its links kept, and has a
 * clock that jumps. It does what the edge's object does, and decides as little.
 */
export class Server {
  readonly disk: Disk
  /** Length of the longest publish frame so far. */
  largestFrame = 0
  readonly #world: World
  #home: TopicHome | undefined
  #up = false
  #crashesAtCommit = false
  readonly #ends = new Set<ServerEnd>()
  #endCount = 0
  #clockOffsetMs = 0
  #frozenAt: number | undefined
  #jumpedAt = 0
  /** The latest time it has ever shown: a log's own never runs backwards. */
  #newest = 0
  #alarmAt = NEVER
  #alarmRun = 0

  constructor(world: World) {
    this.#world = world
    this.disk = new Disk(world)
  }

  get up(): boolean {
    return this.#up
  }

  get epoch(): string {
    return this.disk.epoch
  }

  // ---- the machine

  start(): void {
    this.#up = true
  }

  /** Everything in memory is gone; what was committed and not durable may be there or not. */
  crash(): void {
    if (!this.#up) return
    this.#world.fault('server crash')
    if (this.disk.undurable) this.#world.count('crash between commit and ack')
    this.disk.crash()
    this.#stop(this.#world.random.between(1, 3_000))
  }

  /** With the next commit, the moment in which most can be lost. */
  crashAtCommit(): void {
    this.#crashesAtCommit = true
  }

  /** The disk was told to commit. */
  committing(): void {
    if (!this.#crashesAtCommit) return
    this.#crashesAtCommit = false
    this.#world.clock.in(0, () => {
      if (this.#world.chaos) this.crash()
    })
  }

  /** The topic is deleted and made anew. */
  loseLog(): void {
    if (!this.#up) return
    this.#world.fault('log lost')
    this.disk.crash()
    this.#world.rights?.topicLost()
    this.disk.wipe()
    this.#stop(1)
  }

  #stop(forMs: number): void {
    this.#home = undefined
    this.#up = false
    for (const { connection } of this.#ends) connection.serverGone()
    this.#ends.clear()
    this.#world.clock.in(forMs, () => this.start())
  }

  /** The home leaves memory and its links stay, as the platform does it between two events, and a failure between commit and fan-out. */
  hibernate(): void {
    if (!this.#home || this.disk.reading) return
    this.#world.fault('hibernated')
    if (this.disk.undurable) this.#world.count('hibernated between commit and fan-out')
    this.disk.forget()
    this.#home = undefined
    // As attachments do, states survive as text.
    for (const end of this.#ends) end.state = JSON.parse(JSON.stringify(end.state))
  }

  #wake(): TopicHome {
    if (this.#home) return this.#home
    const { random, swarm } = this.#world
    const home = new TopicHome({
      topic: TOPIC,
      retention: swarm.retention,
      heartbeatMs: HEARTBEAT.everyMs,
      store: this.disk.mount(),
      decode: decodeRequest,
      now: () => this.#tick(),
      newEpoch: () => makeEpoch(this.#world.clock.now, random.next),
      wakeAt: (at) => this.#want(at),
      verify: (token) => {
        const answer = new Later<Identity | Fault>()
        this.#world.clock.in(random.next() * 20, () => {
          // Nobody waits for it who has left memory.
          if (this.#home === home) answer.resolve(this.#verify(token))
        })
        return answer
      },
      onFailed: () => this.#world.count('log discarded'),
    })
    this.#home = home
    for (const end of [...this.#ends]) this.#restore(home, end)
    return home
  }

  // ---- its clock and its alarm

  /** What its clock shows. */
  get now(): number {
    return this.#frozenAt ?? this.#world.clock.wall + this.#clockOffsetMs
  }

  #tick(): number {
    this.#newest = Math.max(this.#newest, this.now)
    return this.now
  }

  /** Below this offset everything may be gone by now. */
  floor(epoch: string): number {
    return this.disk.floor(epoch, this.#newest)
  }

  jump(): void {
    const { random, clock } = this.#world
    this.#world.fault('clock jump')
    const far = Math.floor(random.pick([1_000, 60_000, DAY_MS, 60 * DAY_MS]) * random.next())
    if (random.chance(0.2)) {
      this.#frozenAt = this.now
      clock.in(random.next() * 30_000, () => this.setClock(0))
    } else this.setClock(random.pick([far, -far, 0]))
  }

  setClock(offsetMs: number): void {
    this.#frozenAt = undefined
    this.#clockOffsetMs = offsetMs
    this.#jumpedAt = this.#world.clock.now
    this.#arm()
  }

  #want(at: number): void {
    if (at >= this.#alarmAt) return
    this.#alarmAt = at
    this.#arm()
  }

  #arm(): void {
    const run = ++this.#alarmRun
    if (this.#alarmAt === NEVER) return
    // It never rings early, and may ring late.
    const inMs = Math.max(0, this.#alarmAt - this.now) + this.#world.random.next() * 500
    this.#world.clock.in(inMs, () => {
      if (run !== this.#alarmRun) return
      if (this.#up) this.#event(() => {})
      if (this.#alarmAt < NEVER) this.#arm()
    })
  }

  /** One event of the machine: an alarm that is overdue comes first. */
  #event(work: (home: TopicHome) => void): void {
    const home = this.#wake()
    if (this.#alarmAt <= this.now) {
      this.#alarmAt = NEVER
      home.due()
    }
    work(home)
  }

  // ---- links

  /** @returns the server's end, or nothing for a link that was refused and told so */
  accept(connection: Connection, token: string | undefined): ServerEnd | undefined {
    const identity = this.#verify(token)
    const refused = 'code' in identity ? identity : identity.rights === 0 ? fault('forbidden') : undefined
    if ('code' in identity || refused) {
      if (refused?.code === 'forbidden') this.#world.count('nobody let in without a right')
      this.#turnAway(connection, refused as Fault)
      return undefined
    }
    const state: LinkState = { identity, greeted: false, subscriptions: [] }
    const end: ServerEnd = { name: `link ${++this.#endCount}`, connection, state, link: 0 }
    this.#event((home) => {
      this.#ends.add(end)
      this.#attach(home, end)
    })
    return end
  }

  receive(end: ServerEnd, text: string): void {
    if (!this.#ends.has(end)) return
    // The platform answers this by itself, also for a machine that sleeps.
    if (text === HEARTBEAT.ask) {
      end.connection.toClient(HEARTBEAT.answer)
      return
    }
    if (text.length > this.largestFrame) this.largestFrame = text.length
    if (this.#world.rights && PUBLISH.test(text)) this.#world.rights.arrived(end.state.identity.user, text)
    this.#event((home) => {
      // Waking, the home may have turned it away.
      if (this.#ends.has(end)) home.receive(end.link, text)
    })
  }

  gone(end: ServerEnd): void {
    if (!this.#ends.has(end)) return
    // A home that wakes for it gives all its links new numbers.
    this.#event((home) => {
      if (this.#ends.delete(end)) home.detach(end.link)
    })
  }

  #turnAway(connection: Connection, reason: Fault, encode = (fault: Fault) => encodeError(null, fault)): void {
    connection.toClient(encode(reason))
    connection.serverCloses((ERRORS[reason.code] as { close?: number }).close ?? 4000)
  }

  /** A link that outlived the home's memory is judged before anything happens to it. */
  #restore(home: TopicHome, end: ServerEnd): void {
    const { identity: before, subscriptions } = end.state
    const identity = this.#world.rights?.judge(before) ?? before
    const reason = identity.rights === 0 ? 'forbidden' : 'access_changed'
    if (reason === 'forbidden' || (subscriptions.length > 0 && readsLess(before, identity))) {
      this.#world.count('woken to fewer rights')
      this.#ends.delete(end)
      this.#turnAway(end.connection, fault(reason), encodeGoodbye)
      return
    }
    end.state = { ...end.state, identity }
    this.#attach(home, end)
  }

  /**
   * What a user may do has changed, or changes while the home is out of memory and is not told.
   * @param change makes the policy the new one @param told once nobody is sent anything by the old one
   */
  judge(user: string, change: () => void, told: () => void): void {
    const { rights, random } = this.#world
    const asleep = this.#up && !this.#home
    if (!this.#up || (asleep && random.chance(0.5))) {
      if (asleep) this.#world.fault('rights changed while asleep')
      change()
      told()
      return
    }
    this.#event((home) => {
      change()
      for (const { state, link } of [...this.#ends])
        if (state.identity.user === user) home.judge(link, rights?.judge(state.identity) ?? state.identity)
    })
    this.#loaded(told)
  }

  /**
   * Links that their clients have let go of are noticed. What was refused can still be on its way on such a link, and would be stored if its
   * sender had the right again when it comes.
   */
  noticeLeft(user: string): void {
    for (const end of [...this.#ends]) {
      if (end.state.identity.user !== user || !end.connection.left) continue
      this.#ends.delete(end)
      this.#home?.detach(end.link)
    }
  }

  /** An object has loaded its log before it is told anything; a home over a slower store keeps what it is told until then. */
  #loaded(then: () => void): void {
    if (this.disk.loading) this.#world.clock.in(LOADING_MS, () => this.#loaded(then))
    else then()
  }

  #attach(home: TopicHome, end: ServerEnd): void {
    end.link = home.attach(this.#port(end), end.state)
  }

  #port(end: ServerEnd): Port {
    return {
      send: (text) => {
        if (this.#world.swarm.tokens && text.startsWith(DELIVER)) this.#serve(end)
        this.#world.rights?.sent(end.state.identity.user, text)
        end.connection.toClient(text)
      },
      close: (code) => {
        if (code === ERRORS.token_expired.close) this.#world.count('token expired')
        if (code === ERRORS.access_changed.close) this.#world.count('told to come again')
        if (code === ERRORS.forbidden.close) this.#world.count('told to go')
        this.#ends.delete(end)
        end.connection.serverCloses(code)
      },
      remember: (state) => {
        if (state.identity.expiresAt !== end.state.identity.expiresAt) this.#world.count('token renewed')
        end.state = state
        if (state.subscriptions.some(starving)) this.#world.count('credit ran out')
      },
    }
  }

  /** Nobody is served whose token has expired. */
  #serve({ name, state }: ServerEnd): void {
    const { expiresAt = NEVER } = state.identity
    // A clock that jumped has passed it only then.
    const since = Math.max(expiresAt, this.now - (this.#world.clock.now - this.#jumpedAt))
    if (since + GRACE_MS < this.now) this.#world.record({ e: 'revoked', sub: name })
    this.#world.record({ e: 'served', sub: name })
  }

  #verify(token: string | undefined): Identity | Fault {
    const identity = this.#world.issuer.verify(token, this.now)
    if ('code' in identity) {
      this.#world.count('token refused')
      return identity
    }
    return this.#world.rights?.judge(identity) ?? identity
  }
}

function starving({ live, credit, at }: SubscriptionState): boolean {
  return !live && at !== undefined && 'through' in credit && at >= credit.through
}
