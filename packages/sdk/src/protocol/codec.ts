/**
 * Frame ⇄ text, the only place that writes or reads frames. A frame is one JSON-RPC 2.0 object. Frames with payloads carry
 * them as the last member, one per line, so that payload text passes from publisher to store to subscriber without being
 * parsed or written anew:
 *
 *     {"jsonrpc":"2.0","id":7,"method":"publish","params":{…,"messages":[
 *     {"text":"hello"},
 *     {"text":"you"}
 *     ]}}
 *
 * Reading with validation is in `requests.ts` (server's border); {@link parseFrame} here trusts its peer's shape.
 */
export const LINES_OPEN = '"messages":[\n'
export const LINES_CLOSE = '\n]}}'
/** Between two payloads. No payload holds a line break: JSON text needs none, and strings escape theirs. */
export const LINE_BREAK = ',\n'

/** The end of a frame that carries payloads. */
export const payloads = (body: string) => (body === '' ? '"messages":[]}}' : LINES_OPEN + body + LINES_CLOSE)

// ---- client → broker

export function encodeRequest(id: number, method: string, params: object): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${JSON.stringify(params)}}`
}

export function encodeNotification(method: string, params: object): string {
  return `{"jsonrpc":"2.0","method":"${method}","params":${JSON.stringify(params)}}`
}

/** @param body payload texts joined by {@link LINE_BREAK} */
export function encodePublish(id: number, params: object, body: string, method = 'publish'): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${JSON.stringify(params).slice(0, -1)},${payloads(body)}`
}

// ---- reading without validation

/** A frame as its reader sees it: a request, a notification, an answer or an error. */
export interface Frame {
  readonly id?: number | null
  readonly method?: string
  readonly params?: unknown
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
}

/** The frame, or `undefined` for text that is none. */
export function parseFrame(text: string): Frame | undefined {
  try {
    const frame: unknown = JSON.parse(text)
    return typeof frame === 'object' && frame !== null && !Array.isArray(frame) ? (frame as Frame) : undefined
  } catch {
    return undefined
  }
}
