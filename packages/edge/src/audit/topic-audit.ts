import { RIGHTS } from '@messkit/sdk/broker'
import { decodeRequest } from '@messkit/sdk/protocol'
import type { Judge } from '../access/judge.ts'
import type { Visitor } from '../access/visitor.ts'
import type { Action } from '../acl/vocabulary.ts'
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

/**
 * What rules with `-log` decide at one topic. One row a frame for what is allowed, however many messages are in it; refusals are counted.
 * Written in the turn of the frame, so with what the frame itself writes.
 */
export class TopicAudit {
  readonly #topic: string
  readonly #records: Records
  readonly #refusals: Refusals

  constructor(topic: string, sql: SqlStorage) {
    this.#topic = topic
    this.#records = new Records(sql)
    this.#refusals = new Refusals(this.#records)
  }

  /** Only for links with something to record: what is asked for is read a second time here, so that others pay nothing. */
  frame({ visitor, rights, log, greeted }: Watched, text: string, judge: Judge): void {
    const at = Date.now()
    if (!greeted || visitor.expiresAt <= at) return
    const request = decodeRequest(text)
    if ('fault' in request || !('topic' in request.params) || request.params.topic !== this.#topic) return
    for (const [action, count] of actionsOf(request)) {
      const bit = RIGHTS[action]
      if ((log & bit) === 0) continue
      const decided = decision(judge, visitor, { topic: this.#topic, action })
      if ((rights & bit) !== 0) this.#records.add({ ...decided, at, outcome: 'allowed', count })
      else this.#refusals.add({ ...decided, at, outcome: 'refused', count: 1 })
    }
  }

  /** Somebody who may do nothing here was turned away. */
  turnedAway(visitor: Visitor, log: number, judge: Judge): void {
    if (log !== 0) this.#refusals.add(turnedAway(judge, visitor, { topic: this.#topic, log }))
  }

  list(query: RecordQuery): RecordRow[] {
    this.#refusals.flush()
    return this.#records.list(query)
  }
}

type Frame = Extract<ReturnType<typeof decodeRequest>, { method: string }>

/** What a frame asks for, and for how many messages. A subscription that begins before now reads history. */
function actionsOf(request: Frame): readonly (readonly [Action, number])[] {
  switch (request.method) {
    case 'publish':
      return [['publish', request.lines.count]]
    case 'history':
      return [['history', 1]]
    case 'subscribe':
      return request.params.from === 'now'
        ? [['subscribe', 1]]
        : [
            ['subscribe', 1],
            ['history', 1],
          ]
    default:
      return []
  }
}
