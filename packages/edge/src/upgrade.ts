import type { Identity } from '@messkit/sdk/broker'
import { ERRORS, encodeError, type Fault, fault, nameFault, PROTOCOL } from '@messkit/sdk/protocol'
import { readBearer, readProtocols } from './auth/bearer.ts'
import { IDENTITY_HEADER, writeIdentity } from './auth/identity.ts'
import { mayConnect } from './auth/origin.ts'
import { verifyToken } from './auth/token.ts'
import type { Env } from './env.ts'
import { httpError } from './http-error.ts'
import { topicObjectName } from './objects/object-name.ts'
import { readRetention } from './objects/retention.ts'

/**
 * A WebSocket to a topic. Whoever may not come in is told so here, and no object is woken or made for them. After that the Worker is out
 * of the way: frames go between client and object.
 */
export async function openTopic(request: Request, topic: string, env: Env): Promise<Response> {
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
  const admitted = await admit(protocols, topic, env)
  return 'code' in admitted ? refuse(admitted) : connect(topic, admitted, env)
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

async function admit(protocols: readonly string[], topic: string, env: Env): Promise<Identity | Fault> {
  const wrong = nameFault(topic)
  if (wrong) return fault('bad_name', `the topic name ${wrong}`)
  const bearer = readBearer(protocols)
  if ('code' in bearer) return bearer
  const identity = await verifyToken(bearer.token, env)
  if ('code' in identity || readRetention(env.RETENTION)) return identity
  console.error(
    'RETENTION is no JSON object with messages, ageMs or bytes, each a whole number from 1; nobody is let in',
  )
  return fault('internal')
}

/** The request to the object is made anew: of what came from outside, nothing passes. */
async function connect(topic: string, identity: Identity, env: Env): Promise<Response> {
  try {
    return await env.TOPICS.getByName(topicObjectName(topic)).fetch('https://topic.internal/', {
      headers: {
        upgrade: 'websocket',
        'sec-websocket-protocol': PROTOCOL.name,
        [IDENTITY_HEADER]: writeIdentity(identity),
      },
    })
  } catch (error) {
    console.error('the object of a topic did not answer:', error)
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
