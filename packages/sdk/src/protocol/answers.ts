import { encodeNotification, LINES_CLOSE, payloads } from './codec.ts'
import { ERRORS, type Fault } from './error-codes.ts'

/** The codec's half that only a home needs: how it reads payload lines, and what it answers and delivers, as text. */

/** A publish frame's head and its payload lines as they stand; `undefined` for a frame without lines. */
export function splitLines(text: string): { head: string; body: string } | undefined {
  const end = text.indexOf('\n')
  if (end === -1 || text.length < end + 1 + LINES_CLOSE.length || !text.endsWith(LINES_CLOSE)) return undefined
  return { head: `${text.slice(0, end)}]}}`, body: text.slice(end + 1, -LINES_CLOSE.length) }
}

export function encodeResult(id: number, result: object): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}`
}

export function encodeError(id: number | null, { code, message, retryAfterMs }: Fault): string {
  const { number, retryable } = ERRORS[code]
  const data = retryAfterMs === undefined ? { code, retryable } : { code, retryable, retryAfterMs }
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code: number, message, data } })
}

export function encodeGoodbye({ code, message, retryAfterMs }: Fault): string {
  const { retryable } = ERRORS[code]
  return encodeNotification('goodbye', {
    code,
    message,
    retryable,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

/** Text and positions of a range of the log; `runs` and `body` are stored text. */
export interface Range {
  readonly first: number
  readonly next: number
  readonly runs: string
  readonly body: string
}

export function encodeDeliver(subscription: number, range: Range, through: number): string {
  return `{"jsonrpc":"2.0","method":"deliver","params":{"subscription":${subscription},"first":${range.first},"next":${range.next},"through":${through},"runs":[${range.runs}],${payloads(range.body)}`
}

export function encodeHistory(id: number, facts: { epoch: string; more: boolean; gap?: object }, range: Range): string {
  const head = JSON.stringify({ ...facts, first: range.first, next: range.next }).slice(0, -1)
  return `{"jsonrpc":"2.0","id":${id},"result":${head},"runs":[${range.runs}],${payloads(range.body)}`
}
