import type { Right } from '@messkit/sdk/broker'

/** What a call needs. `admin` on the server is enough for each. */
export interface Need {
  /** A right on the server: see `ROLES` for who has which. */
  readonly server: Right
  /** Or this one on the topic or queue that the address names. */
  readonly own?: Right
  /** What the audit calls it. Acts are recorded, the refused ones, too; whoever only looks is not. */
  readonly act?: string
}

/** Every call that administers. A route without a row here cannot be made. */
export const CALLS = {
  'GET /policy': { server: 'view' },
  'PUT /policy': { server: 'admin', act: 'set policy' },
  'PATCH /policy': { server: 'admin', act: 'change policy' },
  'GET /groups': { server: 'view' },
  'GET /access/topics/:topic': { server: 'view', own: 'view' },
  'PUT /access/topics/:topic': { server: 'admin', own: 'grant', act: 'set access' },
  'PATCH /access/topics/:topic': { server: 'admin', own: 'grant', act: 'change access' },
  'GET /access/queues/:queue': { server: 'view', own: 'view' },
  'PUT /access/queues/:queue': { server: 'admin', own: 'grant', act: 'set access' },
  'PATCH /access/queues/:queue': { server: 'admin', own: 'grant', act: 'change access' },
  'POST /revocations': { server: 'change', act: 'revoke' },
  'POST /kicks': { server: 'change', act: 'kick' },
  'POST /explain': { server: 'view' },
  'GET /audit': { server: 'view' },
  'GET /audit/topics/:topic': { server: 'view', own: 'grant' },
  'GET /audit/queues/:queue': { server: 'view', own: 'grant' },
} as const satisfies Record<string, Need>

export type Call = keyof typeof CALLS
