import { encodeHistory } from '../protocol/answers.ts'
import type { Params } from '../protocol/frames/requests.ts'
import type { GapFacts } from '../protocol/frames/subscribe.ts'
import type { Chunk } from '../store/store.ts'
import { cut, join } from './range.ts'
import type { Allowed } from './rights.ts'

/** A page that was asked for and waits for its chunks. */
export interface HistoryRead {
  readonly link: number
  readonly id: number
  readonly params: Params<'history'>
  /** Where it was asked from, and what is missing there already. */
  readonly offset: number
  readonly gap: GapFacts | undefined
}

/** What of the log can be seen: `floor` is the first offset that is served, `head` the durable end. */
export interface View {
  readonly epoch: string
  readonly floor: number
  readonly head: number
  /** The floor is the reader's own: what lies below may be there for others. */
  readonly bounded: boolean
}

/** The answer to a page's request. The floor may have risen since it was asked for. */
export function historyPage(
  _: Allowed<'history'>,
  { id, params, offset, gap }: HistoryRead,
  chunks: readonly Chunk[],
  { epoch, floor, head, bounded }: View,
): string {
  const start = params.reverse ? offset : Math.max(floor, offset)
  const low = params.reverse ? Math.max(floor, offset - params.limit, chunks[0]?.first ?? offset) : start
  const high = params.reverse ? offset : Math.min(head, start + params.limit, chunks.at(-1)?.next ?? start)
  const ranges = chunks.map((chunk) => cut(chunk, low, high)).filter(({ first, next }) => first < next)
  const page = ranges.length > 0 ? join(ranges) : { first: start, next: start, runs: '', body: '' }
  const more = params.reverse ? page.first > floor : page.next < head
  const skipped: GapFacts | undefined =
    start > offset
      ? { from: gap?.from ?? offset, to: start, reason: gap?.reason ?? (bounded ? 'access' : 'retention') }
      : gap
  return encodeHistory(id, { epoch, more, ...(skipped && { gap: skipped }) }, page)
}
