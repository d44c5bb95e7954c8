import { RIGHTS } from '@messkit/sdk/broker'
import type { Judge } from '../access/judge.ts'
import type { Resource } from '../access/resource.ts'
import type { Visitor } from '../access/visitor.ts'
import { ACTIONS, type Action } from '../acl/vocabulary.ts'
import type { AuditRecord } from './records.ts'

type Decided = Pick<AuditRecord, 'who' | 'what' | 'object' | 'reason'>

/** Who wants what of which topic or queue, and the rule that decides it. */
export function decision(
  judge: Judge,
  visitor: Visitor,
  { resource: { kind, name }, action }: { readonly resource: Resource; readonly action: Action },
): Decided {
  return {
    who: whoIs(visitor),
    what: action,
    object: `${kind} ${name}`,
    reason: judge.ruleFor(visitor, { action, object: kind, name }),
  }
}

/** Whoever may do nothing with a topic or queue is not let in: of the rules that ask for a record, the one about the first action stands for all. */
export function turnedAway(
  judge: Judge,
  visitor: Visitor,
  { resource, log }: { readonly resource: Resource; readonly log: number },
): AuditRecord {
  const action = ACTIONS.find((one) => (log & RIGHTS[one]) !== 0) as Action
  const { reason, ...decided } = decision(judge, visitor, { resource, action })
  return { ...decided, what: 'enter', reason, at: Date.now(), outcome: 'refused', count: 1 }
}

/** Issuer, if it is not the deployment's own, and subject. */
export const whoIs = ({ user, issuer = '' }: { readonly user: string; readonly issuer?: string | undefined }): string =>
  `${issuer} ${user}`.trim()
