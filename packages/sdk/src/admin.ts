import type { Right } from './broker/rights.ts'
import { MessError, troubleOf } from './client/errors.ts'
import type { ErrorCode } from './protocol/error-codes.ts'

export { MessError }

export interface AdminOptions {
  /** The server: `https://…`, or `http://…` on one machine. */
  readonly url: string
  /** A token of somebody who may administer, or what is called for one before each request. */
  readonly token: string | (() => string | Promise<string>)
}

/** What a group may do with topics, or with the server; or a role, which is rights on the server by their common name. */
export type Grant =
  | {
      readonly group: string
      readonly on: 'topic' | 'queue' | 'server'
      /** The topic and all below it. Left out: all of them. */
      readonly name?: string
      readonly can: readonly Right[]
      /** How far back history may be read: from where the topic learned of the grant (the default), or all of it. */
      readonly from?: 'grant' | 'all'
    }
  | { readonly group: string; readonly role: 'viewer' | 'operator' | 'admin' }

export interface Policy {
  /** Ordered, a line each; the first that matches decides. */
  readonly rules: string
  /** They add up, and count where no rule decides. */
  readonly grants: readonly Grant[]
  /** Requests with the answer they must get; a policy is not taken while one fails. */
  readonly tests: readonly unknown[]
}

/** `version` is the one to send back as `ifVersion`. */
export type Versioned = Policy & { readonly version: number }

/** All of it. What is left out is empty. */
export type NewPolicy = Partial<Policy> & IfVersion

/** Single rules and grants; what is not named stays as it is. */
export interface PolicyChange extends IfVersion {
  readonly add?: {
    readonly rules?: readonly string[]
    /** In front of this line of the rules, from 1. Left out: at the end. */
    readonly before?: number
    readonly grants?: readonly Grant[]
  }
  readonly remove?: { readonly rules?: readonly string[]; readonly grants?: readonly Grant[] }
}

interface IfVersion {
  /** The version that was read. If there is a newer one nothing is changed, and the error is `version_conflict`. */
  readonly ifVersion: number
}

/** `told` topics and queues go by the new version; `waiting` ones have not answered yet and are told next. */
export interface Changed {
  readonly version: number
  readonly told: number
  readonly waiting: number
}

/** Something that looks wrong in a policy, at a line from 1. */
export interface Finding {
  readonly kind: string
  readonly line: number
  readonly message: string
}

/** Whose tokens or links: of one token by its `jti`, of a user (of the server's own issuer, unless one is named), or of a group. */
export type Whose =
  | { readonly what: 'token'; readonly id: string }
  | { readonly what: 'user'; readonly user: string; readonly issuer?: string }
  | { readonly what: 'group'; readonly group: string }

export interface Question {
  readonly user: string
  readonly issuer?: string
  readonly groups?: readonly string[]
  readonly address?: string
  readonly action: Right
  readonly on: 'topic' | 'queue' | 'server'
  readonly name?: string
}

export interface Explained {
  readonly effect: 'allow' | 'deny'
  /** Who decided: a token's narrowing, rules, grants, or nobody. */
  readonly by: 'capability' | 'must' | 'own' | 'deployment' | 'grant' | 'nobody'
  readonly reason?: string
  readonly line?: number
  readonly grants?: readonly unknown[]
}

export interface AuditQuery {
  /** Only what came before the row with this `id`: for the next page. */
  readonly before?: number
  /** At most 200, which is the default. */
  readonly limit?: number
  /** As rows say it: `issuer subject`, or the subject where the issuer is the server's own. */
  readonly user?: string
  readonly outcome?: AuditRow['outcome']
}

export interface AuditRow {
  readonly id: number
  /** In ms since 1970. */
  readonly at: number
  readonly who: string
  readonly what: string
  readonly object: string
  readonly outcome: 'done' | 'allowed' | 'refused'
  /** Code of the refusal, or the rule that decided. */
  readonly reason: string
  /** Messages that were allowed, or refusals in the minute that begins with `at`. */
  readonly count: number
}

/** How often somebody was turned away for a reason in the minute that begins with `at`. */
export interface Denied {
  readonly at: number
  readonly reason: string
  readonly count: number
}

/** The policy was refused as a whole; `problems` names its lines, from 1, and tests at line 0. */
export class PolicyError extends MessError {
  override readonly name = 'PolicyError'
  readonly problems: readonly Finding[]

  constructor(message: string, problems: readonly Finding[]) {
    super('policy_invalid', message, { scope: 'mess', retryable: false })
    this.problems = problems
  }
}

/** A topic by its name, or a queue. */
export type Of = string | { readonly queue: string }

/** Manages who may do what. Every call rejects with a {@link MessError}: its `code` says why, `retryable` whether again may help. */
export interface Admin {
  policy(): Promise<Versioned & { readonly findings: readonly Finding[] }>
  /** @throws {PolicyError} naming the lines that are wrong; the policy from before still counts */
  setPolicy(policy: NewPolicy): Promise<Changed>
  /** @throws {PolicyError} */
  changePolicy(change: PolicyChange): Promise<Changed>
  /** The own rules and grants of a topic or queue, which come before the deployment's. */
  access(of: Of): Promise<Versioned>
  /** Resolves when nothing more is sent to whoever lost the right. @throws {PolicyError} */
  setAccess(of: Of, policy: NewPolicy): Promise<{ readonly version: number }>
  /** @throws {PolicyError} */
  changeAccess(of: Of, change: PolicyChange): Promise<{ readonly version: number }>
  /** Groups that the policy speaks of, with the members that it names: `user:…` and `group:…`. */
  groups(): Promise<{
    readonly version: number
    readonly groups: readonly { readonly name: string; readonly members: readonly string[] }[]
  }>
  explain(question: Question): Promise<Explained>
  /** What administrators did, newest first, and how often somebody was turned away. */
  audit(query?: AuditQuery): Promise<{ readonly acts: readonly AuditRow[]; readonly denials: readonly Denied[] }>
  /** What rules with `-log` decided at a topic, newest first. */
  topicAudit(topic: string, query?: AuditQuery): Promise<{ readonly acts: readonly AuditRow[] }>
  queueAudit(queue: string, query?: AuditQuery): Promise<{ readonly acts: readonly AuditRow[] }>
  /** Tokens issued before now count no more, on live links, too. */
  revoke(whose: Whose): Promise<Changed>
  /** Ends live links now; whoever still may comes back. `links` were ended, `waiting` topics could not be told yet. */
  kick(whose: Whose): Promise<{ readonly links: number; readonly waiting: number }>
}

const TIMEOUT_MS = 30_000

/** A client of the server's API for administrators. Keeps nothing and opens nothing: each call is one request. */
export function createAdmin({ url, token }: AdminOptions): Admin {
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const bearer = typeof token === 'string' ? token : await token()
    const response = await fetch(new URL(`/v1/admin/${path}`, url), {
      method,
      headers: { authorization: `Bearer ${bearer}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body && { body: JSON.stringify(body) }),
    }).catch((cause) => {
      throw failure('link_lost', 'The server did not answer', cause)
    })
    const answer: unknown = await response.json().catch((cause) => {
      throw failure('internal', `The server answered ${response.status} with what is no JSON`, cause)
    })
    if (response.ok) return answer as T
    const { error } = answer as { error?: { message?: string; problems?: readonly Finding[] } }
    const { code, message, retryable } = troubleOf(error)
    if (code === 'policy_invalid') throw new PolicyError(message, error?.problems ?? [])
    throw new MessError(code, message, { scope: 'mess', retryable })
  }
  // The server reads the path as it is written: levels are separated by their slashes.
  const path = (of: Of): string => {
    const [kind, name] = typeof of === 'string' ? ['topics', of] : ['queues', of.queue]
    return `${kind}/${name.split('/').map(encodeURIComponent).join('/')}`
  }
  const access = (of: Of): string => `access/${path(of)}`
  const audit = (of: Of, query?: AuditQuery) =>
    call<{ readonly acts: readonly AuditRow[] }>('GET', `audit/${path(of)}${search(query)}`)
  // What was read has more in it than may be written, and is handed back as it came.
  const whole = ({ rules, grants, tests, ifVersion }: NewPolicy): object => ({ rules, grants, tests, ifVersion })
  return {
    policy: () => call('GET', 'policy'),
    setPolicy: (policy) => call('PUT', 'policy', whole(policy)),
    changePolicy: (change) => call('PATCH', 'policy', change),
    access: (of) => call('GET', access(of)),
    setAccess: (of, policy) => call('PUT', access(of), whole(policy)),
    changeAccess: (of, change) => call('PATCH', access(of), change),
    groups: () => call('GET', 'groups'),
    explain: (question) => call('POST', 'explain', question),
    audit: (query) => call('GET', `audit${search(query)}`),
    topicAudit: audit,
    queueAudit: (queue, query) => audit({ queue }, query),
    revoke: (whose) => call('POST', 'revocations', whose),
    kick: (whose) => call('POST', 'kicks', whose),
  }
}

function search(query: AuditQuery = {}): string {
  const set = Object.entries(query).filter(([, value]) => value !== undefined)
  return `?${new URLSearchParams(set.map(([key, value]) => [key, String(value)]))}`
}

const failure = (code: ErrorCode, message: string, cause: unknown): MessError =>
  new MessError(code, message, { scope: 'mess', retryable: true, cause })
