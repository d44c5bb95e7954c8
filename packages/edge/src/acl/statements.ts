/** What a policy says, line by line, before anybody asks what it means. `format` writes it back. */
export type Statement = RuleStatement | GroupStatement | ConfigStatement | QuotaStatement | ConnectionLimitStatement

export interface RuleStatement {
  readonly kind: 'rule'
  readonly line: number
  readonly number?: number
  readonly must: boolean
  /** `allow`, `allow-log`, `deny` or `deny-log`. */
  readonly permission: string
  readonly identity: string
  readonly actions: readonly string[]
  readonly object?: string
  readonly properties: readonly PropertyStatement[]
}

export interface PropertyStatement {
  readonly name: string
  readonly values: readonly string[]
}

export interface GroupStatement {
  readonly kind: 'group'
  readonly line: number
  readonly name: string
  readonly members: readonly string[]
}

export interface ConfigStatement {
  readonly kind: 'config'
  readonly line: number
  readonly settings: readonly PropertyStatement[]
}

export interface QuotaStatement {
  readonly kind: 'quota'
  readonly line: number
  readonly of: 'connections' | 'queues'
  readonly most: number
  readonly identities: readonly string[]
}

export interface ConnectionLimitStatement {
  readonly kind: 'connection-limit'
  readonly line: number
  readonly identity: string
  readonly blocked: boolean
  readonly properties: readonly PropertyStatement[]
}
