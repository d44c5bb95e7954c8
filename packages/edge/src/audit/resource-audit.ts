import type { Judge } from '../access/judge.ts'
import type { Resource } from '../access/resource.ts'
import type { Visitor } from '../access/visitor.ts'
import { ACTION_BITS, type Action } from '../acl/vocabulary.ts'
import { decision, turnedAway } from './decision.ts'
import { type RecordQuery, type RecordRow, Records } from './records.ts'
import { Refusals } from './refusals.ts'

/** Somebody at a link, by the policy of the moment. */
export interface Watched {
  readonly visitor: Visitor
  readonly rights: number
  /** Actions whose answer is to be recorded. */
  readonly log: number
  readonly greeted: boolean
}

/** What a frame asks for, and for how many messages or jobs. Nothing where it is none, or is about something else. */
export type ActionsOf = (text: string) => readonly (readonly [Action, number])[]

/**
 * What rules with `-log` decide at one topic or queue. One row a frame for what is allowed, however much is in it; refusals are counted.
 * Written in the turn of the frame, so with what the frame itself writes.
 */
export class ResourceAudit {
  readonly #resource: Resource
  readonly #actionsOf: ActionsOf
  readonly #records: Records
  readonly #refusals: Refusals

  constructor(resource: Resource, sql: SqlStorage, actionsOf: ActionsOf) {
    this.#resource = resource
    this.#actionsOf = actionsOf
    this.#records = new Records(sql)
    this.#refusals = new Refusals(this.#records)
  }

  /** Only for links with something to record: what is asked for is read a second time here, so that others pay nothing. */
  frame({ visitor, rights, log, greeted }: Watched, text: string, judge: Judge): void {
    const at = Date.now()
    if (!greeted || visitor.expiresAt <= at) return
    for (const [action, count] of this.#actionsOf(text)) {
      const bit = ACTION_BITS[action]
      if ((log & bit) === 0) continue
      const decided = decision(judge, visitor, { resource: this.#resource, action })
      if ((rights & bit) !== 0) this.#records.add({ ...decided, at, outcome: 'allowed', count })
      else this.#refusals.add({ ...decided, at, outcome: 'refused', count: 1 })
    }
  }

  /** Somebody who may do nothing here was turned away. */
  turnedAway(visitor: Visitor, log: number, judge: Judge): void {
    if (log !== 0) this.#refusals.add(turnedAway(judge, visitor, { resource: this.#resource, log }))
  }

  list(query: RecordQuery): RecordRow[] {
    this.#refusals.flush()
    return this.#records.list(query)
  }
}
