import type { Run } from '../protocol/frames/deliver.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Loaded } from '../store/store.ts'
import { Publishers, type Span } from './publishers.ts'
import { Rates } from './rates.ts'
import { type Retention, type Segment, Segments } from './retention.ts'

/**
 * What a log writes beside its chunks so that waking reads little: every few hundred chunks the publishers' marks in hash
 * buckets, of which only changed ones are written, and one index row. What came after stands in the runs of the chunks.
 */
export const INDEX_BUCKET = -1
/** Who has published how much lately. Written on its own, and not with each checkpoint. */
export const RATES_BUCKET = LIMITS.checkpointBuckets

/** `next`, `bytes` and `at` are offset, byte position and newest time at the checkpoint. */
interface Index {
  readonly next: number
  readonly bytes: number
  readonly at: number
  readonly segments: readonly (readonly [first: number, start: number, newestAt: number])[]
}

type StoredMark = readonly [
  key: string,
  last: number,
  at: number,
  spans: readonly (readonly [sequence: number, offset: number, count: number])[],
]

/** Offset from which on a store hands over chunks. */
export function checkpointAt(checkpoint: Loaded['checkpoint']): number {
  return indexOf(checkpoint).next
}

function indexOf(checkpoint: Loaded['checkpoint']): Index {
  const row = checkpoint.find(([bucket]) => bucket === INDEX_BUCKET)
  return row ? (JSON.parse(row[1]) as Index) : { next: 0, bytes: 0, at: 0, segments: [] }
}

export function writeIndex(index: {
  next: number
  bytes: number
  at: number
  segments: readonly Segment[]
}): readonly [number, string] {
  const segments = index.segments.map(({ first, start, newestAt }) => [first, start, newestAt] as const)
  return [INDEX_BUCKET, JSON.stringify({ ...index, segments } satisfies Index)]
}

export function writeBuckets(publishers: Publishers, dirty: ReadonlySet<number>): (readonly [number, string])[] {
  const buckets = new Map<number, StoredMark[]>([...dirty].map((bucket) => [bucket, []]))
  for (const [key, { last, at, spans }] of publishers.entries()) {
    buckets
      .get(bucketOf(key))
      ?.push([key, last, at, spans.map(({ sequence, offset, count }) => [sequence, offset, count] as const)])
  }
  return [...buckets].map(([bucket, marks]) => [bucket, JSON.stringify(marks)] as const)
}

/** FNV-1a; only spreads keys, protects nothing. */
export function bucketOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % LIMITS.checkpointBuckets
}

/** What a log knows besides its rows, rebuilt from a checkpoint and the chunks behind it. */
export interface Recovered {
  readonly publishers: Publishers
  readonly rates: Rates
  readonly segments: Segments
  readonly dirty: Set<number>
  readonly head: number
  readonly bytes: number
  /** Time never runs backwards within a log: the newest time in it. */
  readonly at: number
}

export function recover({ checkpoint, heads }: Loaded, retention: Retention): Recovered {
  const index = indexOf(checkpoint)
  const publishers = new Publishers()
  const rates = new Rates()
  for (const [bucket, text] of checkpoint) {
    if (bucket === INDEX_BUCKET) continue
    if (bucket === RATES_BUCKET) {
      rates.restore(text)
      continue
    }
    for (const [key, last, at, spans] of JSON.parse(text) as StoredMark[]) {
      publishers.restore(key, {
        last,
        at,
        spans: spans.map(([sequence, offset, count]): Span => ({ sequence, offset, count })),
      })
    }
  }
  const list = index.segments.map(([first, start, newestAt]): Segment => ({ first, start, newestAt }))
  const segments = new Segments(list, { head: index.next, bytes: index.bytes }, retention)
  const dirty = new Set<number>()
  let { next: head, bytes, at } = index
  for (const chunk of heads) {
    const runs = JSON.parse(`[${chunk.runs}]`) as Run[]
    const users = JSON.parse(chunk.users) as string[]
    let offset = chunk.first
    runs.forEach(([publisher, first, count, time], i) => {
      const key = Publishers.key(users[i] as string, publisher)
      // A row that was extended after the checkpoint holds runs from before it, too.
      if (offset >= index.next) {
        publishers.record(key, { first, count, offset, at: time })
        dirty.add(bucketOf(key))
      }
      offset += count
      at = Math.max(at, time)
    })
    segments.append({ ...chunk, newestAt: at })
    head = chunk.next
    bytes = chunk.start + chunk.size
  }
  return { publishers, rates, segments, dirty, head, bytes, at }
}
