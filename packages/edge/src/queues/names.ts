import { type Identity, NamesLink, RIGHTS } from '@messkit/sdk/broker'
import {
  decodeNamesRequest,
  EVERY_QUEUE,
  type Fault,
  fault,
  HEARTBEAT,
  LIMITS,
  PROTOCOL,
  QueuesParams,
  type QueuesResult,
} from '@messkit/sdk/protocol'
import * as v from 'valibot'
import { copyFor } from '../access/edge-policy.ts'
import type { Judge } from '../access/judge.ts'
import { type Visitor, visitorOf } from '../access/visitor.ts'
import { judgeOf } from '../admin/actor.ts'
import { countDenial } from '../audit/denials.ts'
import { addressOf } from '../auth/address.ts'
import { readAuthorization, readBearer } from '../auth/bearer.ts'
import { originFault } from '../auth/origin.ts'
import { verifyToken } from '../auth/token.ts'
import type { Env } from '../env.ts'
import { answered, isFault } from '../http.ts'
import { httpError } from '../http-error.ts'
import { directoryOf } from '../objects/stubs.ts'
import { handshake, refuse } from '../upgrade.ts'

/**
 * Which queues there are, as far as whoever asks may know: those of the directory on which they have a right. Answered by the Worker, since no
 * object knows them all and who may what; nothing is kept of a link.
 */

const { work, view } = RIGHTS
const RIGHT = { work, view } as const

/** Over HTTP. */
export async function listQueues(request: Request, env: Env): Promise<Response> {
  const stranger = originFault(request, env.ALLOWED_ORIGINS)
  if (stranger) return httpError(stranger)
  const visitor = await visit(readAuthorization(request.headers.get('authorization')), request, env)
  if (isFault(visitor)) {
    countDenial(env, visitor.code)
    return httpError(visitor)
  }
  return answered(() => queuesFor(visitor, askedBy(new URL(request.url).searchParams), env))
}

const Digits = v.pipe(v.string(), v.digits(), v.transform(Number))

/** @throws {v.ValiError} */
function askedBy(query: URLSearchParams): QueuesParams {
  const { limit, ...asked } = Object.fromEntries(query)
  const most = v.parse(v.optional(Digits), limit)
  const named = { queue: EVERY_QUEUE, ...asked, ...(most !== undefined && { limit: most }) }
  return v.parse(v.strictObject(QueuesParams.entries), named)
}

/** On a link, which is there for a few questions. */
export async function openNames(request: Request, env: Env): Promise<Response> {
  const protocols = handshake(request, env)
  if (protocols instanceof Response) return protocols
  const visitor = await visit(readBearer(protocols), request, env)
  if (isFault(visitor)) {
    countDenial(env, visitor.code)
    return refuse(visitor)
  }
  const { 0: client, 1: server } = new WebSocketPair()
  server.accept()
  converse(server, visitor, { request, env })
  return new Response(null, {
    status: 101,
    webSocket: client,
    headers: { 'sec-websocket-protocol': PROTOCOL.name },
  })
}

function converse(socket: WebSocket, first: Visitor, { request, env }: { request: Request; env: Env }): void {
  let visitor = first
  let idle: ReturnType<typeof setTimeout> | null = null
  const wait = (): void => {
    clearTimeout(idle)
    // As when a server goes away: whoever has more to ask opens another one.
    idle = setTimeout(() => socket.close(1001, 'idle'), LIMITS.namesIdleMs)
  }
  const link = new NamesLink(
    {
      decode: decodeNamesRequest,
      now: () => Date.now(),
      heartbeatMs: HEARTBEAT.everyMs,
      queues: (asked) => {
        wait()
        return queuesFor(visitor, asked, env)
      },
      verify: async (token) => {
        const newer = await visit({ token }, request, env)
        if (isFault(newer)) return newer
        if (newer.key === visitor.key) visitor = newer
        return identityOf(newer)
      },
    },
    {
      send: (text) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(text)
      },
      close: (code, reason) => socket.close(code, reason),
    },
    identityOf(visitor),
  )
  socket.addEventListener('message', ({ data }) => {
    if (data === HEARTBEAT.ask) socket.send(HEARTBEAT.answer)
    else link.receive(typeof data === 'string' ? data : '')
  })
  socket.addEventListener('close', () => {
    clearTimeout(idle)
    socket.close(1000, '')
  })
  wait()
}

/** Any user may ask: what they are told is what they may know. */
async function visit(bearer: { readonly token: string } | Fault, request: Request, env: Env): Promise<Visitor | Fault> {
  if (isFault(bearer)) return bearer
  const user = await verifyToken(bearer.token, env)
  return isFault(user) ? user : visitorOf(user, addressOf(request, env))
}

const identityOf = ({ key, user, expiresAt }: Visitor): Identity => ({ key, user, expiresAt, rights: 0 })

async function queuesFor(
  visitor: Visitor,
  { right, after = '', limit = LIMITS.queuesPerPage }: QueuesParams,
  env: Env,
): Promise<QueuesResult | Fault> {
  const wanted = right ? RIGHT[right] : work | view
  // Who was just shut out is told nothing any more.
  const copy = await copyFor(env, 0).catch((error: unknown) => {
    console.error('the policy could not be learned:', error)
    return fault('policy_unavailable')
  })
  if ('code' in copy) return copy
  const { judge } = copy
  if (judge.isVoid(visitor) || !judge.connecting(visitor)) return fault('forbidden')
  const rows = await directoryOf(env).queues(after, LIMITS.queuesPerPage)
  const queues: string[] = []
  let last: string | undefined
  let owned = 0
  for (const { name, own } of rows) {
    if (queues.length === limit || (own && ++owned > LIMITS.ownRulesPerPage)) return { queues, next: last ?? after }
    if (await mayKnow(visitor, { name, wanted, judge: own ? undefined : judge, env })) queues.push(name)
    last = name
  }
  return { queues, ...(rows.length === LIMITS.queuesPerPage && last !== undefined && { next: last }) }
}

interface Asked {
  readonly name: string
  readonly wanted: number
  /** Left out where the queue has rules of its own. */
  readonly judge: Judge | undefined
  readonly env: Env
}

async function mayKnow(visitor: Visitor, { name, wanted, judge, env }: Asked): Promise<boolean> {
  try {
    const knowing = judge ?? (await judgeOf({ kind: 'queue', name }, env))
    return (knowing.judge(visitor, 'queue', name).rights & wanted) !== 0
  } catch (error) {
    // One that does not answer must not hide the others.
    console.error('the rules of a queue could not be learned:', error)
    return false
  }
}
