/**
 * How a log lies in an object's SQLite. A step that was released is never edited: a change is one more step at the end. The number of
 * steps taken stands with the epoch, since objects may not use `PRAGMA user_version`.
 *
 * What costs money is rows written, and an index entry is one more: no second index, no AUTOINCREMENT, nothing per subscriber.
 */
export const STEPS = [
  `create table chunk (
    first integer primary key,
    next integer not null,
    at integer not null,
    start integer not null,
    size integer not null,
    runs text not null,
    users text not null,
    body text not null
  )`,
] as const

/** Where the log's own facts stand among the buckets of its checkpoint, which begin at -1. */
export const LOG_BUCKET = -2

/** Where a topic keeps its copy of the deployment's policy, its own rules and grants, and where it stood when it learned of which policy. */
export const POLICY_BUCKET = -3
export const OWN_BUCKET = -4
export const LEARNED_BUCKET = -5

/** Objects refuse rows of 2 MB; stand-alone workerd does so much later. */
export const ROW_LIMIT_BYTES = 2_000_000
