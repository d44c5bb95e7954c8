/** Those of the bounds in `limits.ts` that a client checks itself: it is loaded without the others. */
export const CLIENT_LIMITS = {
  /** One payload as JSON text in UTF-8. A stored row holds several and stays far below SQLite's 2 MB on Durable Objects. */
  messageBytes: 256 * 1024,
  messagesPerFrame: 1_000,
  /** Nesting of arrays and objects. `JSON.parse` reads 200,000 levels that `JSON.stringify` cannot write back. */
  payloadDepth: 64,

  nameBytes: 200,
  nameLevels: 8,
  levelChars: 64,
  keyBytes: 256,

  historyMessages: 1_000,
  tokenBytes: 8 * 1024,
  rowBytes: 512 * 1024,

  /** Unacked and refused messages of one client, in memory or on disk; above it `outbox_full`. */
  outboxMessages: 100_000,
  outboxBytes: 64 * 1024 * 1024,
  /** What a replica keeps, and a view shows, at most. */
  replicaMessages: 100_000,
  /** Newest acks kept on disk per topic, for tabs that were not listening when they came. */
  outboxAcks: 256,
} as const

/** The bounds a client must know; the server says them in its answer to `hello`. */
export const ANNOUNCED_LIMITS = [
  'messageBytes',
  'frameBytes',
  'messagesPerFrame',
  'payloadDepth',
  'creditBytes',
  'publisherWindow',
] as const
export type AnnouncedLimits = { readonly [K in (typeof ANNOUNCED_LIMITS)[number]]: number }
