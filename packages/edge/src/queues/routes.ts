import {
  EVERY_QUEUE,
  encodeRequest,
  type Fault,
  fault,
  LIMITS,
  LINE_BREAK,
  parseFrame,
  payloadFault,
  payloads,
  utf8Bytes,
} from '@messkit/sdk/protocol'
import * as v from 'valibot'
import { admit } from '../access/admit.ts'
import { digestOf } from '../access/digest.ts'
import { leavePlace } from '../access/places.ts'
import type { Resource } from '../access/resource.ts'
import type { Visitor } from '../access/visitor.ts'
import { countDenial } from '../audit/denials.ts'
import { readAuthorization } from '../auth/bearer.ts'
import { originFault } from '../auth/origin.ts'
import type { Env } from '../env.ts'
import { answered, isFault, readJson } from '../http.ts'
import { httpError } from '../http-error.ts'
import { stubOf } from '../objects/resource-stub.ts'
import { openLink } from '../upgrade.ts'
import { type Asked, QUEUE_CALLS } from './calls.ts'
import { openNames } from './names.ts'

/** The answer of a request that waits for nothing stays out no longer, or something is wrong. */
const ANSWER_MS = 30_000
const KEY_CHARS = 255

/** What stands at the address of a queue: a WebSocket or, behind its name, a call. */
export async function openQueue(request: Request, path: string, env: Env): Promise<Response> {
  if (path === EVERY_QUEUE) return openNames(request, env)
  const end = path.lastIndexOf('/')
  const call = `${request.method} ${path.slice(end + 1)}`
  // A queue may be called like a call.
  if (end < 0 || request.headers.has('upgrade') || !Object.hasOwn(QUEUE_CALLS, call))
    return openLink(request, { kind: 'queue', name: path }, env)
  const stranger = originFault(request, env.ALLOWED_ORIGINS)
  if (stranger) return httpError(stranger)
  const resource: Resource = { kind: 'queue', name: path.slice(0, end) }
  const visitor = await admit(readAuthorization(request.headers.get('authorization')), resource, { request, env })
  if (isFault(visitor)) {
    countDenial(env, visitor.code)
    return httpError(visitor)
  }
  return answered(() => make(call, { request, resource, visitor, env }))
}

interface Coming {
  readonly request: Request
  readonly resource: Resource
  readonly visitor: Visitor
  readonly env: Env
}

async function make(call: string, coming: Coming): Promise<object | string | Fault> {
  const { request, resource, visitor, env } = coming
  const { ask, answer } = QUEUE_CALLS[call] as (typeof QUEUE_CALLS)[string]
  let asked: Asked
  let frame: string | Fault
  try {
    asked = ask(await bodyOf(request), await publisherOf(request))
    frame = frameOf(resource.name, asked)
  } catch (error) {
    await leave(coming)
    throw error
  }
  if (typeof frame !== 'string') {
    await leave(coming)
    return frame
  }
  let text: string | undefined
  try {
    text = await stubOf(env, resource).call(visitor, frame, asked.waitMs || ANSWER_MS)
  } catch (error) {
    console.error('the object of a queue did not answer:', error)
    await leave(coming)
    return fault('internal')
  }
  if (text === undefined) return asked.waitMs ? answer(undefined, resource.name) : fault('internal')
  const { result, error, params } = parseFrame(text) ?? {}
  if (error) return { ...(error.data as Fault), message: error.message }
  return result ? answer(result, resource.name) : (params as Fault)
}

/** The object gives places back; what never got there has to do so itself. */
async function leave({ visitor, env }: Coming): Promise<void> {
  if (visitor.place) await leavePlace(visitor.place, env)
}

/** Of a GET, what stands behind its question mark; nothing at all is no wish. */
async function bodyOf(request: Request): Promise<unknown> {
  if (request.method === 'GET') return Object.fromEntries(new URL(request.url).searchParams)
  if (request.headers.get('content-length') === '0' || !request.body) return {}
  return readJson(request, LIMITS.frameBytes)
}

const Key = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(KEY_CHARS)))

/** Each key counts as a publisher of its user with one frame: what comes under it again is a repeat. */
async function publisherOf(request: Request): Promise<string | undefined> {
  const key = v.parse(Key, request.headers.get('idempotency-key') ?? undefined)
  return key === undefined ? undefined : `key-${await digestOf(key)}`
}

function frameOf(queue: string, { method, params, jobs }: Asked): string | Fault {
  const named = { queue, ...params }
  if (!jobs) return encodeRequest(1, method, named)
  const lines: string[] = []
  // All are looked at before any is stored.
  for (const job of jobs) {
    const wrong = payloadFault(job)
    if (wrong) return fault(wrong.code, wrong.message)
    const line = JSON.stringify(job)
    if (utf8Bytes(line) > LIMITS.messageBytes) return fault('message_too_large')
    lines.push(line)
  }
  const head = encodeRequest(1, method, named).slice(0, -2)
  return `${head},${payloads(lines.join(LINE_BREAK))}`
}
