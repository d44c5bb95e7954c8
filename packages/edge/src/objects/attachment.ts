import type { LinkState } from '@messkit/sdk/broker'

/**
 * The state of a link on its socket, which the platform keeps while the object is out of memory. The version stands first: after a
 * deployment, new code wakes to what old code wrote.
 */
type Attachment = readonly [version: typeof VERSION, state: string]

const VERSION = 1
const LIMIT_BYTES = 16_384
/** What the platform adds to the text. */
const FRAME_BYTES = 64

export function writeAttachment(socket: WebSocket, state: LinkState): void {
  const text = JSON.stringify(state)
  // Our own mistake if it fails: names, keys and subscriptions of a link are bounded far below. Two bytes a character at most.
  if (text.length * 2 > LIMIT_BYTES - FRAME_BYTES) throw new RangeError(`a link's state has ${text.length} characters`)
  socket.serializeAttachment([VERSION, text] satisfies Attachment)
}

/** `undefined` where there is none that this version understands. */
export function readAttachment(socket: WebSocket): LinkState | undefined {
  const attachment: unknown = socket.deserializeAttachment()
  if (!Array.isArray(attachment) || attachment[0] !== VERSION) return undefined
  return JSON.parse((attachment as unknown as Attachment)[1]) as LinkState
}
