import { makeToken } from '../support/server.ts'
import type { RuleName } from './rules.ts'

/** The settings of the server under attack: everything that can refuse somebody is set. */
export const ISSUER = 'https://issuer.test'
export const AUDIENCE = 'messkit'
export const APP_ORIGIN = 'https://app.test'

/** The topic that all frames are sent to. A witness lives there, too. */
export const TARGET = 'hostile/target'

interface CaseBase {
  readonly name: string
  readonly rule: RuleName
}

/** Bytes on a new connection, answered by HTTP, or by a socket that opens. */
export interface RequestCase extends CaseBase {
  readonly where: 'http'
  readonly send: string | Buffer
}

/** Frames on a link to {@link TARGET}: text as a text frame, bytes as they are. */
export interface FrameCase extends CaseBase {
  readonly where: 'ws'
  /** Who sends it: somebody who has not said hello yet, somebody who has, another user, one whose token ends at once. */
  readonly as: 'stranger' | 'greeted' | 'other' | 'expiring'
  /** Asked and answered first; what is answered is not judged. */
  readonly before?: readonly string[]
  readonly send: readonly (string | Buffer)[]
  /** The link has a state that other cases must not meet. */
  readonly fresh?: true
  /** Nothing may be sent behind it: what it began does not end. */
  readonly open?: true
  /** It goes on talking to a socket that is closing: the answer is sent, and a TCP reset may throw it away on its way. */
  readonly deaf?: true
  /** Stood in the frame, and must come back from the log just so. */
  readonly stored?: string
}

export type Case = RequestCase | FrameCase

export const http = (rule: RuleName, name: string, send: string | Buffer): RequestCase => ({
  where: 'http',
  rule,
  name,
  send,
})

export function ws(
  rule: RuleName,
  name: string,
  send: string | Buffer | readonly (string | Buffer)[],
  more: Partial<FrameCase> = {},
): FrameCase {
  return { where: 'ws', as: 'greeted', rule, name, send: Array.isArray(send) ? send : [send], ...more } as FrameCase
}

/** The number of every request that is judged. */
export const ID = 9

export const request = (method: string, params: unknown, rest: object = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', id: ID, method, params, ...rest })

export const notification = (method: string, params: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', method, params })

let publisherCount = 0
/** A publisher that nobody else uses. */
export const publisher = (): string => `hostile-${++publisherCount}`

/** A publish of lines as they are; `params` may be wrong. */
export function publish(lines: string, params: object = {}): string {
  const head = { topic: TARGET, publisher: publisher(), after: 0, first: 1, ...params }
  const text = JSON.stringify(head).slice(0, -1)
  return `{"jsonrpc":"2.0","id":${ID},"method":"publish","params":${text},"messages":[\n${lines}\n]}}`
}

export const goodToken = (claims: Record<string, unknown> = {}): Promise<string> =>
  makeToken({ iss: ISSUER, aud: AUDIENCE, ...claims })

export const bearer = (token: string): string => `bearer.${Buffer.from(token).toString('base64url')}`

export interface UpgradeOptions {
  readonly method?: string
  readonly path?: string
  readonly version?: string
  readonly host?: string
  /** Of `Sec-WebSocket-Protocol`, one header each. */
  readonly protocols?: readonly string[]
  /** Instead of what an upgrade needs. */
  readonly handshake?: readonly string[]
  readonly headers?: readonly string[]
}

export const HANDSHAKE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
] as const

let topicCount = 0
/** Of a topic that nobody may open: should an object be made for it, it is a new one. */
export const nowhere = (): string => `/v1/topics/refused/${++topicCount}`

/** An upgrade as text, in which anything may be wrong. */
export function upgrade({
  method = 'GET',
  path = nowhere(),
  version = 'HTTP/1.1',
  host = 'localhost',
  protocols = [],
  handshake = HANDSHAKE,
  headers = [],
}: UpgradeOptions = {}): string {
  const lines = [
    `${method} ${path} ${version}`,
    `Host: ${host}`,
    ...handshake,
    ...protocols.map((value) => `Sec-WebSocket-Protocol: ${value}`),
    ...headers,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}
