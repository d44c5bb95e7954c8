import type { Range } from '../protocol/answers.ts'
import { LINE_BREAK } from '../protocol/codec.ts'
import type { Run, RunExtras } from '../protocol/frames/deliver.ts'

/** Cutting and joining stretches of the log as text. Nothing is parsed but the runs of a range that is really cut. */

/** The part of a range from `from` to before `to`; the range itself where that is all of it. */
export function cut(range: Range, from: number, to: number): Range {
  const first = Math.max(from, range.first)
  const next = Math.min(to, range.next)
  if (first === range.first && next === range.next) return range
  if (first >= next) return { first, next: first, runs: '', body: '' }
  const runs: Run[] = []
  let offset = range.first
  for (const run of JSON.parse(`[${range.runs}]`) as Run[]) {
    const end = offset + run[2]
    if (end > first && offset < next) runs.push(cutRun(run, Math.max(first - offset, 0), Math.min(next, end) - offset))
    offset = end
  }
  return {
    first,
    next,
    runs: JSON.stringify(runs).slice(1, -1),
    body: cutLines(range.body, first - range.first, next - range.first),
  }
}

/** Messages `from` to `to - 1` of a run. */
function cutRun([publisher, first, , at, extras]: Run, from: number, to: number): Run {
  const start: Run = [publisher, first + from, to - from, at]
  return extras ? ([...start.slice(0, 4), cutExtras(extras, from, to)] as Run) : start
}

export function cutExtras({ ids, keys }: RunExtras, from: number, to: number): RunExtras {
  const cut: RunExtras = {}
  if (ids) cut.ids = [ids[0], ids[1] + from]
  if (keys) cut.keys = keys.slice(from, to)
  return cut
}

/** Lines `from` to `to - 1` of payload texts. */
export function cutLines(body: string, from: number, to: number): string {
  let start = 0
  for (let i = 0; i < from; i++) start = body.indexOf('\n', start) + 1
  let end = start
  for (let i = from; i < to; i++) {
    end = body.indexOf('\n', end) + 1
    if (end === 0) return body.slice(start)
  }
  return body.slice(start, end - LINE_BREAK.length)
}

/** Neighbouring ranges as one. */
export function join(ranges: readonly Range[]): Range {
  const [head] = ranges
  const last = ranges.at(-1)
  if (!head || !last) throw new RangeError('join needs a range')
  if (head === last) return head
  return {
    first: head.first,
    next: last.next,
    runs: ranges.map(({ runs }) => runs).join(','),
    body: ranges.map(({ body }) => body).join(LINE_BREAK),
  }
}
