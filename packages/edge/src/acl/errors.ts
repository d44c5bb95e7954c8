import { ACL_BOUNDS } from './bounds.ts'

/** What can be wrong with a policy. One word each, so that programs can tell them apart. */
export type ProblemKind =
  | 'action-not-allowed-for-object'
  | 'bad-character'
  | 'bad-connection-rule'
  | 'bad-grant'
  | 'bad-group-name'
  | 'bad-host'
  | 'bad-identity'
  | 'bad-pattern'
  | 'bad-property-value'
  | 'bad-quota-value'
  | 'bad-rule-number'
  | 'bad-test'
  | 'bad-user-name'
  | 'conflicting-properties'
  | 'cyclic-groups'
  | 'duplicate-group'
  | 'duplicate-property'
  | 'duplicate-rule'
  | 'duplicate-rule-number'
  | 'group-not-supported'
  | 'impossible-property'
  | 'line-too-long'
  | 'number-not-allowed'
  | 'property-key-only'
  | 'property-no-close-bracket'
  | 'property-no-equals'
  | 'property-no-value'
  | 'tokens-after-all'
  | 'too-few-tokens'
  | 'too-much'
  | 'undefined-group'
  | 'unexpected-continuation'
  | 'unknown-action'
  | 'unknown-dialect'
  | 'unknown-line'
  | 'unknown-object'
  | 'unknown-permission'
  | 'unknown-property'
  | 'unterminated-quote'

export interface Problem {
  readonly kind: ProblemKind
  /** From 1; 0 where no line is to blame. */
  readonly line: number
  /** For whoever wrote the policy. Quotes none of it, so that it may be logged. */
  readonly message: string
}

/** The policy was refused as a whole. `kind` and `line` are those of its first problem, `problems` lists more of them. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError'
  readonly code = 'policy_invalid'
  readonly retryable = false
  readonly kind: ProblemKind
  readonly line: number
  readonly problems: readonly Problem[]

  constructor(first: Problem, ...more: readonly Problem[]) {
    super(first.line > 0 ? `line ${first.line}: ${first.message}` : first.message)
    this.kind = first.kind
    this.line = first.line
    this.problems = [first, ...more]
  }
}

export function refuse(kind: ProblemKind, line: number, message: string): never {
  throw new PolicyError({ kind, line, message })
}

export type BoundName = keyof typeof ACL_BOUNDS

/** @throws {PolicyError} naming the bound, where `count` goes over it */
export function bound(name: BoundName, count: number, line = 0): void {
  if (count > ACL_BOUNDS[name]) refuse('too-much', line, `more than ${ACL_BOUNDS[name]} ${name}`)
}

/** Goes on after a bad line, so that one error names several; not for ever. */
export class Problems {
  readonly #found: Problem[] = []

  try(step: () => void): void {
    try {
      step()
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error
      this.#found.push(...error.problems)
      if (this.#found.length >= ACL_BOUNDS.problems) this.throwAny()
    }
  }

  throwAny(): void {
    const [first, ...more] = this.#found.toSorted((a, b) => a.line - b.line)
    if (first) throw new PolicyError(first, ...more)
  }
}
