import { type ErrorCode, ERRORS, isErrorCode } from '../protocol/error-codes.ts'

/** What an error concerns: everything, one topic, or one message. */
export type ErrorScope = 'mess' | 'topic' | 'message'

/**
 * Any failure of Messkit. `code` is one of the table in docs/reference/errors.md, which says what it means and what to do;
 * `retryable` says whether the same call may succeed later unchanged.
 */
export class MessError extends Error {
  override readonly name: string = 'MessError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly scope: ErrorScope

  constructor(code: ErrorCode, message: string, options: { scope?: ErrorScope; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = ERRORS[code].retryable
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
    super('gap', `Messages ${gap.from} to ${gap.to} are not available (${gap.reason}); pass onGap to go on behind them`)
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

/** An error that came over a link: its code if this version knows it, else `internal`. */
export function knownCode(code: unknown): ErrorCode {
  return isErrorCode(code) ? code : 'internal'
}
