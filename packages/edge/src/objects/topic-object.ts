import { DurableObject } from 'cloudflare:workers'
import { type Identity, type LinkState, type Port, TopicHome } from '@messkit/sdk/broker'
import {
  decodeRequest,
  ERRORS,
  encodeGoodbye,
  type Fault,
  fault,
  HEARTBEAT,
  LIMITS,
  makeEpoch,
  PROTOCOL,
} from '@messkit/sdk/protocol'
import { IDENTITY_HEADER, readIdentity } from '../auth/identity.ts'
import { verifyToken } from '../auth/token.ts'
import type { Env } from '../env.ts'
import { SqliteStore } from '../store/sqlite.ts'
import { refuse } from '../upgrade.ts'
import { Alarm } from './alarm.ts'
import { readAttachment, writeAttachment } from './attachment.ts'
import { topicOf } from './object-name.ts'
import { readRetention } from './retention.ts'

/**
 * The home of one topic at the edge: a broker's home over the object's SQLite, its hibernating sockets and its alarm. It decides
 * nothing itself. Between events it may lose its memory at any moment, so nothing is kept here that is not also in a row or in an
 * attachment, and no timer runs: a timer would keep it awake, and a waking object is billed.
 */
export class TopicObject extends DurableObject<Env> {
  readonly #store: SqliteStore
  readonly #alarm: Alarm
  readonly #home: TopicHome
  readonly #links = new Map<WebSocket, number>()
  /** The check of a token that the event at hand began. */
  #check: Promise<unknown> | undefined

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(HEARTBEAT.ask, HEARTBEAT.answer))
    this.#store = new SqliteStore(ctx.storage)
    this.#alarm = new Alarm(ctx.storage)
    this.#home = new TopicHome({
      topic: topicOf(ctx.id.name),
      // The Worker lets nobody in while RETENTION is no good; whoever is here already loses nothing to a typing error.
      retention: readRetention(env.RETENTION) ?? {},
      heartbeatMs: HEARTBEAT.everyMs,
      store: this.#store,
      decode: decodeRequest,
      now: () => Date.now(),
      newEpoch: () => makeEpoch(Date.now(), Math.random),
      wakeAt: (at) => this.#alarm.want(at),
      verify: (token) => this.#verify(token),
      onFailed: (error) => console.error('the log failed and is loaded anew with the next link:', error),
    })
    for (const socket of ctx.getWebSockets()) this.#restore(socket)
  }

  /** The Worker's request for one more link; who asks has been checked. */
  override async fetch(request: Request): Promise<Response> {
    const identity = readIdentity(request.headers.get(IDENTITY_HEADER))
    if (!identity) return new Response(null, { status: 403 })
    if (this.#links.size >= LIMITS.linksPerTopic) return refuse(fault('too_many_links'))
    const { 0: client, 1: server } = new WebSocketPair()
    await this.#during(() => {
      this.ctx.acceptWebSocket(server)
      const state: LinkState = { identity, greeted: false, subscriptions: [] }
      writeAttachment(server, state)
      this.#attach(server, state)
    })
    const headers = { 'sec-websocket-protocol': PROTOCOL.name }
    return new Response(null, { status: 101, webSocket: client, headers })
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    return this.#during(() => {
      const link = this.#links.get(socket)
      if (link === undefined) return
      this.#home.receive(link, typeof message === 'string' ? message : NO_FRAME)
    })
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

  override alarm(): Promise<void> {
    this.#alarm.rung()
    return this.#during(() => this.#home.due())
  }

  /**
   * One event. It ends when what it began is durable and told: between two events the platform may take the memory away, and a commit whose
   * fan-out was lost would leave its subscribers behind until the next one. Other events go on meanwhile.
   */
  async #during(event: () => void): Promise<void> {
    try {
      if (this.#alarm.overdue(Date.now())) {
        this.#alarm.rung()
        this.#home.due()
      }
      event()
      const check = this.#check
      this.#check = undefined
      if (check) await check
      // Twice: the commit that was under way when the event came, and the one that took up what had to wait for it.
      await this.#store.flushed()
      await this.#store.flushed()
    } finally {
      await this.#alarm.arm(Date.now())
    }
  }

  #verify(token: string): Promise<Identity | Fault> {
    const check = verifyToken(token, this.env)
    this.#check = check
    return check
  }

  /** A socket that outlived our memory. */
  #restore(socket: WebSocket): void {
    if (socket.readyState !== WebSocket.OPEN) return
    const state = readAttachment(socket)
    if (state) this.#attach(socket, state)
    else dismiss(socket, fault('internal', 'the state of this link is of another version'))
  }

  #attach(socket: WebSocket, state: LinkState): void {
    const link = this.#home.attach(this.#port(socket), state)
    // A log that cannot be loaded has closed it already.
    if (socket.readyState === WebSocket.OPEN) this.#links.set(socket, link)
  }

  #detach(socket: WebSocket): void {
    const link = this.#links.get(socket)
    if (link === undefined) return
    this.#links.delete(socket)
    this.#home.detach(link)
  }

  #port(socket: WebSocket): Port {
    return {
      send: (text) => send(socket, text),
      close: (code, reason) => {
        this.#links.delete(socket)
        close(socket, code, reason)
      },
      remember: (state) => writeAttachment(socket, state),
    }
  }
}

/** What a binary message counts as: JSON that is no frame. */
const NO_FRAME = '[]'

/** The peer may be gone already, and then there is nobody to tell. */
function send(socket: WebSocket, text: string): void {
  try {
    socket.send(text)
  } catch {}
}

function close(socket: WebSocket, code: number, reason: string): void {
  try {
    socket.close(code, reason)
  } catch {}
}

function dismiss(socket: WebSocket, fault: Fault): void {
  send(socket, encodeGoodbye(fault))
  close(socket, (ERRORS[fault.code] as { close?: number }).close ?? 4000, fault.code)
}
