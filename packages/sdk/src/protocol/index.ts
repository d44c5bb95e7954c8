export {
  encodeError,
  encodeGoodbye,
  encodeNotification,
  encodePublish,
  encodeRequest,
  type Frame,
  parseFrame,
} from './codec.ts'
export { type Cursor, makeCursor, makeEpoch, parseCursor } from './cursor.ts'
export { ERRORS, type ErrorCode, type ErrorFacts, type Fault, fault, isErrorCode } from './error-codes.ts'
export { LIMITS } from './limits.ts'
export { nameFault } from './name.ts'
export { decodeRequest } from './requests.ts'
export { HEARTBEAT, PROTOCOL } from './version.ts'
