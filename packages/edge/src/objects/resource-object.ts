import { DurableObject } from 'cloudflare:workers'
import type { Identity, Port } from '@messkit/sdk/broker'
import {
  ERRORS,
  type ErrorCode,
  encodeError,
  encodeGoodbye,
  type Fault,
  fault,
  HEARTBEAT,
  LIMITS,
  makeEpoch,
  PROTOCOL,
} from '@messkit/sdk/protocol'
import type { PolicyDocument } from '../access/document.ts'
import { leavePlace } from '../access/places.ts'
import { keyOf, type Resource } from '../access/resource.ts'
import { type Kick, type OwnAccess, ResourceAccess } from '../access/resource-access.ts'
import { readVisitor, VISITOR_HEADER, type Visitor, visitorOf } from '../access/visitor.ts'
import type { RecordQuery, RecordRow } from '../audit/records.ts'
import { type ActionsOf, ResourceAudit } from '../audit/resource-audit.ts'
import { verifyToken } from '../auth/token.ts'
import type { Env } from '../env.ts'
import { refuse } from '../upgrade.ts'
import { Alarm } from './alarm.ts'
import { fitsAttachment, readAttachment, writeAttachment } from './attachment.ts'
import { Call } from './call.ts'
import { directoryOf } from './stubs.ts'

/** How long acks that nobody waits for may wait for a commit to go with, in ms. */
const LINGER_MS = 5

/** What is kept of a link while its home is out of memory. */
interface LinkFacts {
  readonly identity: Identity
  readonly greeted: boolean
}

/** What the home of a topic or a queue is to its object. */
interface HomeOf<S> {
  attach(port: Port<S>, state: S): number
  receive(link: number, text: string): void
  detach(link: number): void
  judge(link: number, identity: Identity): void
  due(): void
}

/** What every home needs of its object, whatever it keeps. */
export interface Shelter {
  readonly heartbeatMs: number
  now(): number
  newEpoch(): string
  wakeAt(at: number): void
  linger(back: () => void): void
  verify(token: string, link: number): Promise<Identity | Fault>
  onFailed(error: unknown): void
}

/** What lives in an object: a home over its store, and how it differs from homes of the other kind. */
export interface Resident<S> {
  readonly home: HomeOf<S>
  /** Resolves once the commit that is on its way now, if any, is durable or has failed, and the home has been told so. */
  flushed(): Promise<void>
  /** Offset behind the newest message; 0 where there is no history. */
  head(): number
  /** Of a link that is new. */
  stateOf(identity: Identity): S
  /** Whether a link that outlived our memory was given rights by which it goes on with something, and has them no more. */
  isWorseOff(state: S, identity: Identity): boolean
  readonly actionsOf: ActionsOf
}

/**
 * The home of one topic or queue at the edge: a broker's home over the object's SQLite, its hibernating sockets and its alarm. It decides
 * nothing itself. Between events it may lose its memory at any moment, so nothing is kept here that is not also in a row or in an
 * attachment, and no timer runs but for `LINGER_MS`: a timer keeps it awake, and a waking object is billed.
 */
export abstract class ResourceObject<S extends LinkFacts> extends DurableObject<Env> {
  readonly #resident: Resident<S>
  readonly #alarm: Alarm
  readonly #access: ResourceAccess
  readonly #audit: ResourceAudit
  readonly #links = new Map<Line, Seat>()
  /** The check of a token that the event at hand began. */
  #check: Promise<unknown> | undefined

  constructor(
    { ctx, env, resource }: { ctx: DurableObjectState; env: Env; resource: Resource },
    make: (shelter: Shelter) => Resident<S>,
  ) {
    super(ctx, env)
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(HEARTBEAT.ask, HEARTBEAT.answer))
    this.#alarm = new Alarm(ctx.storage)
    const directory = directoryOf(env)
    const key = keyOf(resource)
    this.#access = new ResourceAccess({
      resource,
      sql: ctx.storage.sql,
      ask: (known) => directory.enrol(key, known),
      mark: () => directory.markOwn(key),
      head: () => this.#resident.head(),
      changed: () => this.#judgeAll(),
      now: () => Date.now(),
    })
    this.#resident = make({
      heartbeatMs: HEARTBEAT.everyMs,
      now: () => Date.now(),
      newEpoch: () => makeEpoch(Date.now(), Math.random),
      wakeAt: (at) => this.#alarm.want(at),
      linger: (back) => this.ctx.waitUntil(scheduler.wait(LINGER_MS).then(() => this.#during(back))),
      verify: (token, link) => {
        const seat = [...this.#links.values()].find((one) => one.link === link)
        const check = this.#verify(seat, token)
        // The policy may have changed between the judgement and its arrival.
        this.#check = check.then(
          () => seat && this.#judge(seat),
          () => {},
        )
        return check
      },
      onFailed: (error) =>
        console.error(`the home of a ${resource.kind} failed and is loaded anew with the next link:`, error),
    })
    this.#audit = new ResourceAudit(resource, ctx.storage.sql, this.#resident.actionsOf)
    // Whoever was here before is judged by the policy as it is now, before anything happens to them.
    const sockets = ctx.getWebSockets()
    if (sockets.length > 0) void ctx.blockConcurrencyWhile(() => this.#restoreAll(sockets))
  }

  /** The Worker's request for one more link; who asks has been checked. */
  override async fetch(request: Request): Promise<Response> {
    const visitor = readVisitor(request.headers.get(VISITOR_HEADER))
    if (!visitor) return new Response(null, { status: 403 })
    return this.#during((known) => (known ? this.#letIn(visitor) : this.#turnAway(visitor, 'policy_unavailable')))
  }

  #letIn(visitor: Visitor): Response {
    const identity = this.#access.judge(visitor)
    if (identity.rights === 0) return this.#turnAway(visitor, this.#strange(visitor))
    if (this.#links.size >= LIMITS.linksPerTopic) return this.#turnAway(visitor, 'too_many_links')
    const { 0: client, 1: server } = new WebSocketPair()
    this.ctx.acceptWebSocket(server)
    const state = this.#resident.stateOf(identity)
    writeAttachment(server, state, visitor)
    this.#attach(server, state, visitor)
    const headers = { 'sec-websocket-protocol': PROTOCOL.name }
    return new Response(null, { status: 101, webSocket: client, headers })
  }

  /** For the Worker, where only rules of this topic or queue could let somebody in. @returns why they do not */
  async admits(visitor: Visitor): Promise<ErrorCode | undefined> {
    if (!(await this.#access.ready())) return 'policy_unavailable'
    return this.#access.judge(visitor).rights === 0 ? this.#strange(visitor) : undefined
  }

  /** As it is answered where there is no such topic or queue. */
  #strange(visitor: Visitor): 'forbidden' {
    this.#audit.turnedAway(visitor, this.#access.log(visitor), this.#access.judgeItself)
    return 'forbidden'
  }

  #turnAway(visitor: Visitor, code: ErrorCode): Response {
    this.#left(visitor)
    return refuse(fault(code))
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    return this.#during(() => {
      const seat = this.#links.get(socket)
      if (!seat) return
      this.#receive(seat, typeof message === 'string' ? message : NO_FRAME)
    })
  }

  #receive(seat: Seat, text: string): void {
    if (seat.log !== 0) this.#audit.frame(seat, text, this.#access.judgeItself)
    this.#resident.home.receive(seat.link, text)
  }

  override webSocketClose(socket: WebSocket): Promise<void> {
    return this.#during(() => {
      this.#detach(socket)
      // The platform leaves a hibernating socket's Close unanswered, and the peer would report 1006 ten seconds later. Its own code may
      // be one that nobody may send, so it is not repeated.
      close(socket, 1000, '')
    })
  }

  override webSocketError(socket: WebSocket): Promise<void> {
    return this.#during(() => {
      this.#detach(socket)
      close(socket, 1011, '')
    })
  }

  /**
   * One request of somebody who has no link: there is one for as long as the answer takes.
   * @param waitMs how long the answer may stay out. This is the one timer there is: the request keeps this object awake anyway
   * @returns the answer; `undefined` if it stayed out
   */
  protected async converse(visitor: Visitor, frame: string, waitMs: number): Promise<string | undefined> {
    const call = new Call()
    await this.#during((known) =>
      known ? this.#begin(call, visitor, frame) : this.#hangUp(call, visitor, 'policy_unavailable'),
    )
    await call.answered(waitMs)
    await this.#during(() => this.#detach(call))
    return call.answer
  }

  #begin(call: Call, visitor: Visitor, frame: string): void {
    const identity = this.#access.judge(visitor)
    if (identity.rights === 0) this.#hangUp(call, visitor, this.#strange(visitor))
    else if (this.#links.size >= LIMITS.linksPerTopic) this.#hangUp(call, visitor, 'too_many_links')
    else {
      this.#attach(call, { ...this.#resident.stateOf(identity), greeted: true }, visitor)
      const seat = this.#links.get(call)
      if (seat) this.#receive(seat, frame)
    }
  }

  #hangUp(call: Call, visitor: Visitor, code: ErrorCode): void {
    this.#left(visitor)
    call.send(encodeError(null, fault(code)))
  }

  override alarm(): Promise<void> {
    this.#alarm.rung()
    return this.#during(() => this.#resident.home.due())
  }

  /**
   * One event. It ends when what it began is durable and told: between two events the platform may take the memory away, and a commit whose
   * fan-out was lost would leave its subscribers behind until the next one. Other events go on meanwhile.
   * @param event told whether there is a policy to go by
   */
  async #during<T>(event: (known: boolean) => T): Promise<T> {
    try {
      const known = this.#access.isReady || (await this.#access.ready())
      if (!known) this.#refuseAll()
      else if (this.#access.lease.due) this.ctx.waitUntil(this.#access.lease.renew())
      if (this.#alarm.overdue(Date.now())) {
        this.#alarm.rung()
        this.#resident.home.due()
      }
      const done = event(known)
      const check = this.#check
      this.#check = undefined
      // Before anything is answered: whoever is told that something is kept until its time must be able to count on the alarm.
      await this.#alarm.arm(Date.now())
      if (check) await check
      for (let commits = 0; commits < COMMITS_PER_EVENT; commits++) await this.#resident.flushed()
      return done
    } finally {
      await this.#alarm.arm(Date.now())
    }
  }

  // ---- who may do what

  /** From the directory. @returns whether anybody is here who would have to be told again */
  async learn(text: string): Promise<boolean> {
    await this.#access.learn(text)
    const here = this.#links.size > 0 || this.ctx.getWebSockets().length > 0
    // The directory forgets us now: whoever comes next has us ask again, or nobody would tell us what is taken away from them.
    if (!here) this.#access.lease.end()
    return here
  }

  /** The own rules and grants of this topic or queue. */
  async ownAccess(): Promise<OwnAccess> {
    return this.#access.own
  }

  /** Acknowledged when nothing more is sent to whoever lost the right. */
  async setOwnAccess(document: PolicyDocument, ifVersion: number): Promise<{ version: number } | Fault> {
    return this.#access.setOwn(document, ifVersion)
  }

  /** What rules with `-log` decided here. */
  async records(query: RecordQuery): Promise<RecordRow[]> {
    return this.#audit.list(query)
  }

  /** From the directory. @returns how many links were ended */
  async kick(who: Kick): Promise<number> {
    let links = 0
    for (const [line, { visitor }] of [...this.#links]) {
      if (!this.#access.isMeant(visitor, who)) continue
      this.#dismiss(line, fault('kicked'))
      links++
    }
    return links
  }

  #judgeAll(): void {
    for (const seat of [...this.#links.values()]) this.#judge(seat)
  }

  #judge(seat: Seat): void {
    const identity = this.#access.judge(seat.visitor)
    seat.rights = identity.rights
    seat.log = this.#access.log(seat.visitor)
    this.#resident.home.judge(seat.link, identity)
  }

  /** The policy that is known is too old to go by. */
  #refuseAll(): void {
    for (const line of [...this.#links.keys()]) this.#dismiss(line, fault('policy_unavailable'))
  }

  async #verify(seat: Seat | undefined, token: string): Promise<Identity | Fault> {
    const user = await verifyToken(token, this.env)
    if ('code' in user) return user
    const { address, place } = seat?.visitor ?? {}
    const visitor = { ...(await visitorOf(user, address)), ...(place && { place }) }
    if (!fitsAttachment(visitor)) return fault('token_too_large')
    if (seat && seat.visitor.key === visitor.key) seat.visitor = visitor
    return this.#access.judge(visitor)
  }

  // ---- links

  /**
   * For whoever counts connections, and has no room for another one: at which of these places somebody sits. A client that has gone without
   * a word is not missed before it is asked for its place; then a link whose heartbeats have ended is.
   */
  async seated(places: readonly string[]): Promise<string[]> {
    const asked = new Set(places)
    const found: string[] = []
    for (const [line, { visitor }] of [...this.#links]) {
      if (!visitor.place || !asked.has(visitor.place.id)) continue
      if (this.#isSilent(line)) this.#dismiss(line, fault('limit_reached'))
      else found.push(visitor.place.id)
    }
    return found
  }

  /** Those who never sent a heartbeat need not. */
  #isSilent(line: Line): boolean {
    if (line instanceof Call) return false
    const beatAt = this.ctx.getWebSocketAutoResponseTimestamp(line)?.getTime()
    return beatAt !== undefined && Date.now() - beatAt > SILENT_MS
  }

  async #restoreAll(sockets: readonly WebSocket[]): Promise<void> {
    const ready = await this.#access.ready().catch(() => false)
    for (const socket of sockets) {
      if (socket.readyState !== WebSocket.OPEN) this.#left(readAttachment<S>(socket)?.visitor)
      else if (ready) this.#restore(socket)
      else this.#dismiss(socket, fault('policy_unavailable'))
    }
  }

  /** A socket that outlived our memory. */
  #restore(socket: WebSocket): void {
    const attached = readAttachment<S>(socket)
    if (!attached) {
      this.#dismiss(socket, fault('internal', 'the state of this link is of another version'))
      return
    }
    const { state, visitor } = attached
    const identity = this.#access.judge(visitor)
    if (identity.rights === 0) this.#dismiss(socket, fault('forbidden'))
    else if (this.#resident.isWorseOff(state, identity)) this.#dismiss(socket, fault('access_changed'))
    else this.#attach(socket, { ...state, identity }, visitor)
  }

  #attach(line: Line, state: S, visitor: Visitor): void {
    const { rights } = state.identity
    const seat: Seat = { link: 0, visitor, rights, log: this.#access.log(visitor), greeted: state.greeted }
    seat.link = this.#resident.home.attach(this.#port(line, seat), state)
    // A home that cannot be loaded has closed it already.
    if (line.readyState === WebSocket.OPEN) this.#links.set(line, seat)
    else this.#left(visitor)
  }

  #detach(line: Line): void {
    const seat = this.#links.get(line)
    // One that ended while this object was out of memory has no link any more, and its place is taken still.
    if (seat) this.#left(seat.visitor)
    else if (line instanceof WebSocket) this.#left(readAttachment<S>(line)?.visitor)
    if (!seat) return
    this.#links.delete(line)
    this.#resident.home.detach(seat.link)
  }

  #dismiss(line: Line, fault: Fault): void {
    this.#detach(line)
    send(line, encodeGoodbye(fault))
    close(line, (ERRORS[fault.code] as { close?: number }).close ?? 4000, fault.code)
  }

  /** A link has ended, or came to nothing: whoever counts it is told. */
  #left(visitor: Visitor | undefined): void {
    if (visitor?.place) this.ctx.waitUntil(leavePlace(visitor.place, this.env))
  }

  #port(line: Line, seat: Seat): Port<S> {
    return {
      send: (text) => send(line, text),
      close: (code, reason) => {
        if (this.#links.delete(line)) this.#left(seat.visitor)
        close(line, code, reason)
      },
      remember: (state) => {
        seat.greeted = state.greeted
        if (line instanceof WebSocket) writeAttachment(line, state, seat.visitor)
      },
    }
  }
}

/**
 * The commit that was under way when an event came, the one that took up what had to wait for it, and the one with jobs for which the
 * store had to be asked.
 */
const COMMITS_PER_EVENT = 3

/** Three heartbeats in a row did not come. A page that was put to sleep has none either, and connects anew when it wakes. */
const SILENT_MS = 3 * HEARTBEAT.everyMs

/** The other end of a link. */
type Line = WebSocket | Call

/** A link, and who sits there. */
interface Seat {
  link: number
  visitor: Visitor
  /** What they may do here, and which of it is recorded: as the home was told. */
  rights: number
  log: number
  greeted: boolean
}

/** What a binary message counts as: JSON that is no frame. */
const NO_FRAME = '[]'

/** The peer may be gone already, and then there is nobody to tell. */
function send(line: Line, text: string): void {
  try {
    line.send(text)
  } catch {}
}

function close(line: Line, code: number, reason: string): void {
  try {
    line.close(code, reason)
  } catch {}
}
