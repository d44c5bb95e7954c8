import type { LinkState } from '@messkit/sdk/broker'

/**
 * The state of a link on its socket, which the platform keeps while the object is out of memory. The version stands first: after a
 * deployment, new code wakes to what old code wrote.
 */
const VERSION = 1
const LIMIT_BYTES = 16_384

export function writeAttachment(socket: WebSocket, state: LinkState): void {
  const text = JSON.stringify([VERSION, state])
  // Our own mistake if it fails: names, keys and subscriptions of a link are bounded far below.
  if (text.length * 2 > LIMIT_BYTES) throw new RangeError(`a link's state has ${text.length} characters`)
  socket.serializeAttachment(text)
}

/** `undefined` where there is none that this version understands. */
export function readAttachment(socket: WebSocket): LinkState | undefined {
  const text: unknown = socket.deserializeAttachment()
  const [version, state] = typeof text === 'string' ? (JSON.parse(text) as [number, LinkState]) : []
  return version === VERSION ? state : undefined
}
