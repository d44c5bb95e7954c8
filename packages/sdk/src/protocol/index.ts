export { encodeError, encodeGoodbye } from './answers.ts'
export {
  encodeNotification,
  encodePublish,
  encodeRequest,
  type Frame,
  LINE_BREAK,
  parseFrame,
  payloads,
} from './codec.ts'
export { type Cursor, makeCursor, parseCursor } from './cursor.ts'
export { makeEpoch } from './epoch.ts'
export { ERRORS, type ErrorCode, type ErrorFacts, type Fault, fault } from './error-codes.ts'
export { EVERY_QUEUE } from './every-queue.ts'
export type { ClaimResult, CountsResult, Lease, ListResult, QueueMethod } from './frames/queue.ts'
export { QueuesParams, type QueuesResult } from './frames/queue-names.ts'
export { LIMITS } from './limits.ts'
export { nameFault } from './name.ts'
export { payloadFault } from './payload.ts'
export { decodeNamesRequest, decodeQueueRequest, decodeRequest } from './requests.ts'
export { utf8Bytes } from './text.ts'
export { HEARTBEAT, PROTOCOL } from './version.ts'
