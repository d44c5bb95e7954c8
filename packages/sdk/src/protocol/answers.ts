import { encodeNotification, payloads } from './codec.ts'
import { ERRORS, type Fault } from './error-codes.ts'

/** The codec's half that only a home needs: what it answers and delivers, as text. */

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
