import * as v from 'valibot'
import { splitLines } from './answers.ts'
import { type Fault, fault } from './error-codes.ts'
import { QUEUE_REQUESTS, type QueueParams } from './frames/queue.ts'
import { NAMES_REQUESTS, type NamesRequest } from './frames/queue-names.ts'
import { Envelope, type Method, type Params, REQUESTS } from './frames/requests.ts'
import { LIMITS } from './limits.ts'
import { lineFault } from './payload.ts'
import type { QueueRequest } from './queue-requests.ts'
import { utf8Bytes } from './text.ts'

/**
 * Text → request at a server's border: input is hostile until it has passed here, and past it the types are trusted.
 * Whatever is wrong becomes a {@link Fault}; nothing throws.
 */
export type Request =
  | { [M in Exclude<Method, 'publish'>]: { method: M; id: number; params: Params<M> } }[Exclude<Method, 'publish'>]
  | PublishRequest

export interface PublishRequest {
  readonly method: 'publish'
  readonly id: number
  readonly params: Params<'publish'>
  readonly lines: Lines
}

/** The payloads of a publish frame, as they stood in it. */
export interface Lines {
  /** Payload texts joined by `,` and a line break. */
  readonly body: string
  readonly count: number
  readonly bytes: number
  /** The first one that cannot be stored, for its payload or what is asked of it; those behind it were not looked at. */
  readonly refused?: { readonly index: number; readonly fault: Fault }
}

/** `id` is null where the frame was too broken to have one; then nobody may be waiting for an answer. */
export interface BadRequest {
  readonly id: number | null
  readonly fault: Fault
}

export function decodeRequest(text: string): Request | BadRequest {
  const read = readFrame(text, REQUESTS, 'publish')
  if ('fault' in read) return read
  if (!read.lines) return read as Request
  const { id, lines } = read
  const params = read.params as Params<'publish'>
  if (params.keys && params.keys.length !== lines.count)
    return { id, fault: fault('bad_params', 'keys: one entry a message is needed') }
  // Whoever reads the log counts on from these; a number that is no safe integer would stop every subscriber, not only its publisher.
  const newest = Math.max(params.first, params.ids?.[1] ?? 0) + lines.count
  if (!Number.isSafeInteger(newest)) return { id, fault: fault('bad_params', 'first, ids: out of their bounds') }
  return { method: 'publish', id, params, lines }
}

export function decodeQueueRequest(text: string): QueueRequest | BadRequest {
  const read = readFrame(text, QUEUE_REQUESTS, 'enqueue')
  if ('fault' in read) return read
  if (read.method === 'schedule') return checkSchedule(read)
  if (!read.lines) return read as QueueRequest
  const { id, lines } = read
  const params = read.params as QueueParams<'enqueue'>
  if (params.each && params.each.length !== lines.count)
    return { id, fault: fault('bad_params', 'each: one entry a job is needed') }
  if (!Number.isSafeInteger(params.first + lines.count))
    return { id, fault: fault('bad_params', 'first: out of its bounds') }
  return { method: 'enqueue', id, params, lines }
}

/** On a link to all queues. */
export function decodeNamesRequest(text: string): NamesRequest | BadRequest {
  const read = readFrame(text, NAMES_REQUESTS, 'no frame here')
  return 'fault' in read ? read : (read as NamesRequest)
}

/** Its payload will stand in a line of its own, in the frames that bring its jobs. */
function checkSchedule(read: Read): QueueRequest | BadRequest {
  const { data } = read.params as QueueParams<'schedule'>
  const wrong = data.includes('\n') ? fault('bad_payload', 'data: one line of JSON is needed') : lineFault(data)
  return wrong ? { id: read.id, fault: wrong } : (read as QueueRequest)
}

interface Read {
  readonly method: string
  readonly id: number
  readonly params: unknown
  readonly lines?: Lines
}

/** @param carrier the one method whose frames have lines */
function readFrame(text: string, requests: Record<string, v.GenericSchema>, carrier: string): Read | BadRequest {
  if (tooLong(text, LIMITS.frameBytes))
    return { id: null, fault: fault('frame_too_large', `a frame may have ${LIMITS.frameBytes} bytes`) }
  const split = splitLines(text)
  let frame: unknown
  try {
    frame = JSON.parse(split ? split.head : text)
  } catch {
    return { id: null, fault: fault('bad_json') }
  }
  const id = idOf(frame)
  const envelope = v.safeParse(Envelope, frame, FIRST_ISSUE)
  if (!envelope.success) return { id, fault: fault('bad_frame') }
  const { method, params } = envelope.output
  if (!Object.hasOwn(requests, method)) return { id, fault: fault('unknown_method') }
  if (id === null && method !== 'credit')
    return { id, fault: fault('bad_frame', `${method} is a request and needs an id`) }
  if ((split !== undefined) !== (method === carrier)) return { id, fault: fault('bad_frame', layoutOf(carrier)) }
  const schema = requests[method] as v.GenericSchema
  let checked = v.safeParse(schema, params, FIRST_ISSUE)
  const wrong = checked.success || method !== carrier ? undefined : wrongEntry(checked.issues[0])
  if (wrong) checked = v.safeParse(schema, without(params, wrong.index), FIRST_ISSUE)
  if (!checked.success) return { id, fault: paramsFault(checked.issues[0]) }
  if (!split) return { method, id: id ?? 0, params: checked.output }
  if (!split.head.endsWith('"messages":[]}}') || !endsWithMessages(frame))
    return { id, fault: fault('bad_frame', layoutOf(carrier)) }
  const found = checkLines(split.body, carrier)
  if ('code' in found) return { id, fault: found }
  const lines = wrong && !(found.refused && found.refused.index < wrong.index) ? { ...found, refused: wrong } : found
  return { method, id: id as number, params: checked.output, lines }
}

/** What is wrong with one job is not wrong with its neighbours, which were enqueued by others perhaps. */
function wrongEntry(issue: v.BaseIssue<unknown>): Lines['refused'] {
  const [field, entry] = issue.path ?? []
  if (field?.key !== 'each' || typeof entry?.key !== 'number') return undefined
  return { index: entry.key, fault: paramsFault(issue) }
}

/** Nothing is taken from there on. */
const without = (params: Readonly<Record<string, unknown>>, index: number): object => ({
  ...params,
  each: (params.each as unknown[]).map((own, i) => (i < index ? own : null)),
})

/** A frame full of wrong values costs no more than one of them. */
const FIRST_ISSUE = { abortEarly: true } as const

const layoutOf = (carrier: string): string =>
  `${carrier} carries messages as its last member, one payload per line, and no other frame has lines`

/** Whether the lines are where any other reader of the frame would find its messages, and not in a look-alike behind them. */
function endsWithMessages(frame: unknown): boolean {
  const { params } = frame as { params: object }
  return Object.keys(frame as object).at(-1) === 'params' && Object.keys(params).at(-1) === 'messages'
}

function idOf(frame: unknown): number | null {
  const id = typeof frame === 'object' && frame !== null ? (frame as { id?: unknown }).id : null
  return Number.isSafeInteger(id) && (id as number) >= 0 ? (id as number) : null
}

/** Names the field and never echoes its value. */
function paramsFault(issue: v.BaseIssue<unknown>): Fault {
  if (issue.message === 'bad_name' || issue.message === 'bad_cursor') return fault(issue.message)
  const path = v.getDotPath(issue) ?? 'params'
  return fault('bad_params', `${path}: ${issue.kind === 'schema' ? 'missing or of another type' : 'out of its bounds'}`)
}

/** One pass over the lines. Each must be one payload by itself: `[1` and `2]` are JSON only together. */
function checkLines(body: string, carrier: string): Lines | Fault {
  const bytes = utf8Bytes(body)
  let count = 0
  let refused: Lines['refused']
  for (let start = 0; start <= body.length; count++) {
    if (count === LIMITS.messagesPerFrame)
      return fault('bad_params', `messages: a frame may have ${LIMITS.messagesPerFrame}`)
    let end = body.indexOf('\n', start)
    const last = end === -1
    if (last) end = body.length
    else if (body.charCodeAt(end - 1) !== 0x2c) return fault('bad_frame', layoutOf(carrier))
    if (!refused) {
      const line = body.slice(start, last ? end : end - 1)
      const wrong = tooLong(line, LIMITS.messageBytes)
        ? fault('message_too_large', `a payload may have ${LIMITS.messageBytes} bytes`)
        : lineFault(line)
      if (wrong) refused = { index: count, fault: wrong }
    }
    start = end + 1
  }
  return refused ? { body, count, bytes, refused } : { body, count, bytes }
}

/** A UTF-16 unit makes 1 to 3 bytes, so most texts need no counting. */
function tooLong(text: string, bytes: number): boolean {
  return text.length * 3 > bytes && (text.length > bytes || utf8Bytes(text) > bytes)
}
