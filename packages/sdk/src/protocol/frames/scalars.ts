import * as v from 'valibot'
import { type Cursor, parseCursor } from '../cursor.ts'
import { LIMITS } from '../limits.ts'
import { nameFault } from '../name.ts'

/** The values that frames are made of. */

export const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
export const Positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
export const TopicName = v.custom<string>((name) => nameFault(name) === undefined, 'bad_name')
export const CursorText = v.custom<Cursor>((text) => parseCursor(text) !== undefined, 'bad_cursor')
export const RequestId = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
/** Chosen by the client, unique within its link. */
export const SubscriptionId = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(0xffff_ffff))
export const PublisherId = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9_-]+$/),
  v.minLength(8),
  v.maxLength(LIMITS.publisherChars),
)
export const Key = v.pipe(
  v.string(),
  v.check((key) => key.isWellFormed()),
  v.minLength(1),
  v.maxBytes(LIMITS.keyBytes),
)
