import type { Refusal } from '../store/indexeddb-rows.ts'
import { StoreFull } from '../store/store.ts'
import { MessError, RefusedError } from './errors.ts'
import type { OutboxEntry } from './outbox.ts'

/** What the database says, as the application hears it. */
export function failureOf(error: unknown): MessError {
  if (error instanceof MessError) return error
  if (error instanceof StoreFull)
    return new MessError('store_full', error.message, { scope: 'message', retryable: true, cause: error })
  return new MessError('storage_lost', 'The browser took the storage away', {
    scope: 'mess',
    cause: error,
  })
}

export function entryOf({ id, topic, code, message }: Refusal): OutboxEntry {
  return { id, topic, state: 'refused', error: new RefusedError(code, message, id) }
}
