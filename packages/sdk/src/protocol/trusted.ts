import { splitLines } from './answers.ts'
import { LINE_BREAK, parseFrame } from './codec.ts'
import { fault } from './error-codes.ts'
import type { Params } from './frames/requests.ts'
import type { BadRequest, Request } from './requests.ts'
import { utf8Bytes } from './text.ts'

/**
 * Text → request from our own client in the same process or origin, which has checked payloads when they were published. Spares
 * the schemas, which only a server's border needs.
 */
export function readRequest(text: string): Request | BadRequest {
  const split = splitLines(text)
  const frame = parseFrame(split ? split.head : text)
  if (!frame?.method) return { id: null, fault: fault('bad_frame') }
  const request = { method: frame.method, id: frame.id ?? 0, params: frame.params }
  if (!split) return request as Request
  return {
    ...request,
    params: frame.params as Params<'publish'>,
    lines: { body: split.body, count: countLines(split.body), bytes: utf8Bytes(split.body) },
  } as Request
}

function countLines(body: string): number {
  let count = 1
  for (let at = body.indexOf(LINE_BREAK); at !== -1; at = body.indexOf(LINE_BREAK, at + LINE_BREAK.length)) count++
  return count
}
