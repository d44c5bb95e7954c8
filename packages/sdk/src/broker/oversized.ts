import { fault } from '../protocol/error-codes.ts'
import type { Lines } from '../protocol/requests.ts'
import { utf8Bytes } from '../protocol/text.ts'

/** The first payload that is larger than its user may publish, or the one that cannot be stored anyway if that comes first. */
export function firstOversized({ body, bytes, count, refused }: Lines, most: number): Lines['refused'] {
  // Together they are no larger than one may be: nearly always.
  if (bytes <= most) return refused
  const before = refused?.index ?? count
  let start = 0
  for (let index = 0; index < before; index++) {
    const feed = body.indexOf('\n', start)
    const end = feed === -1 ? body.length : feed - 1
    if (end - start > most || (3 * (end - start) > most && utf8Bytes(body.slice(start, end)) > most)) {
      return {
        index,
        fault: fault('message_too_large', `limit-bytes: the policy allows this user ${most} bytes a payload`),
      }
    }
    start = feed + 1
  }
  return refused
}
