import { ERRORS, encodeError, type Fault, fault, nameFault, PROTOCOL } from '@messkit/sdk/protocol'
import { mayEnter } from './access/edge-policy.ts'
import type { ConnectionLimits } from './access/limits.ts'
import { leavePlace, takePlace } from './access/places.ts'
import type { Resource } from './access/resource.ts'
import { VISITOR_HEADER, type Visitor, visitorOf, writeVisitor } from './access/visitor.ts'
import { countDenial } from './audit/denials.ts'
import { addressOf } from './auth/address.ts'
import { readBearer, readProtocols } from './auth/bearer.ts'
import { mayConnect } from './auth/origin.ts'
import { verifyToken } from './auth/token.ts'
import type { Env } from './env.ts'
import { httpError } from './http-error.ts'
import { fitsAttachment } from './objects/attachment.ts'
import { stubOf } from './objects/resource-stub.ts'
import { readRetention } from './objects/retention.ts'

/**
 * A WebSocket to a topic or queue. Whoever may not come in is told so here, and no object is woken or made for them. After that the Worker is out
 * of the way: frames go between client and object.
 */
export async function openLink(request: Request, resource: Resource, env: Env): Promise<Response> {
  const protocols = readProtocols(request.headers.get('sec-websocket-protocol'))
  if (!isUpgrade(request) || !protocols.includes(PROTOCOL.name)) {
    return httpError(fault('upgrade_needed'), { upgrade: 'websocket' })
  }
  const own = URL.parse(request.url)?.origin
  // The Host header is part of the address, and anybody may write anything there.
  if (own === undefined) return httpError(fault('not_found'))
  if (!mayConnect(request.headers.get('origin'), { own, allowed: env.ALLOWED_ORIGINS ?? '' })) {
    return httpError(fault('forbidden_origin'))
  }
  const admitted = await admit(protocols, resource, { env, address: addressOf(request, env) })
  if (!('code' in admitted)) return connect(resource, admitted, env)
  countDenial(env, admitted.code)
  return refuse(admitted)
}

function isUpgrade({ method, headers }: Request): boolean {
  return method === 'GET' && headers.get('upgrade')?.toLowerCase() === 'websocket' && isWhole(headers)
}

/**
 * The platform refuses a broken handshake itself, but only when the object has answered, and so was made. A platform that keeps these headers
 * to itself shows neither.
 */
function isWhole(headers: Headers): boolean {
  const [key, version] = [headers.get('sec-websocket-key'), headers.get('sec-websocket-version')]
  return key === null ? version === null : version === '13'
}

interface Asked {
  readonly env: Env
  readonly address: string | undefined
}

async function admit(
  protocols: readonly string[],
  resource: Resource,
  { env, address }: Asked,
): Promise<Visitor | Fault> {
  const wrong = nameFault(resource.name)
  if (wrong) return fault('bad_name', `the ${resource.kind} name ${wrong}`)
  const bearer = readBearer(protocols)
  if ('code' in bearer) return bearer
  const user = await verifyToken(bearer.token, env)
  if ('code' in user) return user
  if (!readRetention(env.RETENTION)) {
    console.error(
      'RETENTION is no JSON object with messages, ageMs or bytes, each a whole number from 1; nobody is let in',
    )
    return fault('internal')
  }
  const visitor = await visitorOf(user, address)
  if (!fitsAttachment(visitor)) return fault('token_too_large')
  const limits = await mayEnter(visitor, resource, env)
  return 'code' in limits ? limits : seat(visitor, { resource, limits, env })
}

async function seat(
  visitor: Visitor,
  counted: { resource: Resource; limits: ConnectionLimits; env: Env },
): Promise<Visitor | Fault> {
  try {
    const place = await takePlace(visitor, counted)
    if (!place) return visitor
    return 'code' in place ? place : { ...visitor, place }
  } catch (error) {
    console.error('connections could not be counted:', error)
    return fault('policy_unavailable')
  }
}

/** The request to the object is made anew: of what came from outside, nothing passes. */
async function connect(resource: Resource, visitor: Visitor, env: Env): Promise<Response> {
  try {
    return await stubOf(env, resource).fetch('https://object.internal/', {
      headers: {
        upgrade: 'websocket',
        'sec-websocket-protocol': PROTOCOL.name,
        [VISITOR_HEADER]: writeVisitor(visitor),
      },
    })
  } catch (error) {
    console.error('the object of a topic or queue did not answer:', error)
    if (visitor.place) await leavePlace(visitor.place, env)
    return refuse(fault('internal'))
  }
}

/**
 * Browsers tell a page nothing about a refused upgrade; it would look as if the server were down. So the socket is opened, says why, and
 * closes with the code of the error.
 */
export function refuse(reason: Fault): Response {
  const { 0: client, 1: server } = new WebSocketPair()
  server.accept()
  server.send(encodeError(null, reason))
  server.close((ERRORS[reason.code] as { close?: number }).close ?? 4000, reason.code)
  return new Response(null, { status: 101, webSocket: client, headers: { 'sec-websocket-protocol': PROTOCOL.name } })
}
