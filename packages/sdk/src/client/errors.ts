import type { ErrorCode } from '../protocol/error-codes.ts'

/** What an error concerns: everything, one topic, or one message. */
export type ErrorScope = 'mess' | 'topic' | 'message'

/** A failure as a home tells it, or as a session finds it. */
export interface Trouble {
  readonly code: ErrorCode
  readonly message: string
  readonly retryable: boolean
  readonly retryAfterMs?: number
}

/** Codes of this side that may succeed later unchanged; a home says it of its own. */
const RETRYABLE = 'not_acked_yet outbox_full storage_lost token_unavailable link_lost resume_in_use unsent'

/**
 * Any failure of Messkit. `code` is one of the table in docs/reference/errors.md, which says what it means and what to do;
 * `retryable` says whether the same call may succeed later unchanged.
 */
export class MessError extends Error {
  override readonly name: string = 'MessError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly scope: ErrorScope

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly scope?: ErrorScope; readonly retryable?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, options)
    this.code = code
    this.retryable = options.retryable ?? RETRYABLE.includes(code)
    this.scope = options.scope ?? 'topic'
  }
}

/** The home refused a message for good; it is set aside and was never stored. */
export class RefusedError extends MessError {
  override readonly name = 'RefusedError'
  /** The receipt's id. */
  readonly id: string

  constructor(code: ErrorCode, message: string, id: string) {
    super(code, message, { scope: 'message' })
    this.id = id
  }
}

/** Messages between two offsets will not come; thrown by `messages()` where no `onGap` takes it. */
export class GapError extends MessError {
  override readonly name = 'GapError'
  readonly gap: Gap

  constructor(gap: Gap) {
    super('gap', `Messages ${gap.from} to ${gap.to} are not available (${gap.reason})`)
    this.gap = gap
  }
}

/** The data does not fit the topic's schema; `issues` are the schema's own. */
export class SchemaError extends MessError {
  override readonly name = 'SchemaError'
  readonly issues: readonly { readonly message: string }[]

  constructor(message: string, issues: readonly { readonly message: string }[]) {
    super('schema_mismatch', message, { scope: 'message' })
    this.issues = issues
  }
}

/** Offsets from `from` to before `to` are missing. */
export interface Gap {
  readonly from: number
  readonly to: number
  readonly reason: 'retention' | 'epoch' | 'rewound' | 'access'
}

export const trouble = (code: ErrorCode, message: string = code, retryable = true): Trouble => ({
  code,
  message,
  retryable,
})

/** What an error frame or a goodbye says. A code that this version does not know is passed on as it is. */
export function troubleOf(data: unknown, text?: string): Trouble {
  const { code, message, retryable, retryAfterMs } = (data ?? {}) as Partial<Trouble>
  const facts = trouble(typeof code === 'string' ? code : 'internal', text ?? message, retryable !== false)
  // Anything but a number would make a wait that never ends.
  return typeof retryAfterMs === 'number' ? { ...facts, retryAfterMs } : facts
}
