import { ERRORS, encodeError, type Fault, fault, PROTOCOL } from '@messkit/sdk/protocol'
import { admit } from './access/admit.ts'
import { leavePlace } from './access/places.ts'
import type { Resource } from './access/resource.ts'
import { VISITOR_HEADER, type Visitor, writeVisitor } from './access/visitor.ts'
import { countDenial } from './audit/denials.ts'
import { readBearer, readProtocols } from './auth/bearer.ts'
import { originFault } from './auth/origin.ts'
import type { Env } from './env.ts'
import { httpError } from './http-error.ts'
import { stubOf } from './objects/resource-stub.ts'

/**
 * A WebSocket to a topic or queue. Whoever may not come in is told so here, and no object is woken or made for them. After that the Worker is out
 * of the way: frames go between client and object.
 */
export async function openLink(request: Request, resource: Resource, env: Env): Promise<Response> {
  const protocols = handshake(request, env)
  if (protocols instanceof Response) return protocols
  const admitted = await admit(readBearer(protocols), resource, { request, env })
  if (!('code' in admitted)) return connect(resource, admitted, env)
  countDenial(env, admitted.code)
  return refuse(admitted)
}

/** The sub-protocols that are offered, or why this is no upgrade to have here. */
export function handshake(request: Request, env: Env): string[] | Response {
  const protocols = readProtocols(request.headers.get('sec-websocket-protocol'))
  if (!isUpgrade(request) || !protocols.includes(PROTOCOL.name)) {
    return httpError(fault('upgrade_needed'), { upgrade: 'websocket' })
  }
  const stranger = originFault(request, env.ALLOWED_ORIGINS)
  return stranger ? httpError(stranger) : protocols
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
