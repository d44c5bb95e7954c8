import type { Action } from '../acl/vocabulary.ts'

/** Rights on the server that go together, by a name that a grant can use. Each role can do what the one before it can. */
export const ROLES = {
  /** Sees the policy, groups, rules of topics and the audit, and asks for explanations. */
  viewer: ['view'],
  /** Also ends what is going wrong: revokes and kicks. */
  operator: ['view', 'change'],
  /** Also changes the policy, and anybody's access. */
  admin: ['view', 'change', 'grant', 'admin'],
} as const satisfies Record<string, readonly Action[]>

export type Role = keyof typeof ROLES
