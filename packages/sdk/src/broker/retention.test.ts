import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LIMITS } from '../protocol/limits.ts'
import { type Retention, Segments } from './retention.ts'

interface Row {
  readonly first: number
  readonly next: number
  readonly start: number
  readonly size: number
  readonly newestAt: number
}

const SECOND = 1_000

/** Rows one after the other, a second apart. */
function rows(sizes: readonly (readonly [messages: number, bytes: number])[]): Row[] {
  let [next, start] = [0, 0]
  return sizes.map(([messages, size], i) => {
    const row = { first: next, next: next + messages, start, size, newestAt: i * SECOND }
    next += messages
    start += size
    return row
  })
}

function keeping(retention: Retention, stored: readonly Row[]): Segments {
  const segments = new Segments([], { head: 0, bytes: 0 }, retention)
  for (const row of stored) segments.append(row)
  return segments
}

const TEN_ROWS = rows(Array(10).fill([10, 1_000]))
const NEWEST = 9 * SECOND

describe('where the log is cut', () => {
  it.each<[string, Retention, number, number]>([
    ['nowhere, unless it is asked for', {}, NEWEST, 0],
    ['by count at a row', { messages: 30 }, NEWEST, 70],
    ['by count so that not less than asked is kept', { messages: 31 }, NEWEST, 60],
    ['by bytes at a row', { bytes: 2_000 }, NEWEST, 80],
    ['by bytes so that not less than asked is kept', { bytes: 2_001 }, NEWEST, 70],
    ['by age', { ageMs: 4 * SECOND }, NEWEST, 50],
    ['by age so that what is just as old is kept', { ageMs: 4 * SECOND }, NEWEST + 1, 60],
    ['by whatever is exceeded first', { messages: 90, ageMs: 4 * SECOND, bytes: 5_001 }, NEWEST, 50],
    ['nowhere, if more is asked for than is there', { messages: 500, bytes: 1e9, ageMs: 1e9 }, NEWEST, 0],
    ['behind everything, once all is too old', { ageMs: SECOND }, NEWEST + 2 * SECOND, 100],
  ])('%s', (_where, retention, nowMs, floor) => {
    expect(keeping(retention, TEN_ROWS).floor(nowMs)).toBe(floor)
  })

  it('never takes away less or more than asked, but for the row at the edge', () => {
    const sizes = fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 64, max: 5_000 })), {
      minLength: 1,
      maxLength: 60,
    })
    const bound = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: undefined })

    fc.assert(
      fc.property(
        sizes,
        bound(300),
        bound(100_000),
        bound(40),
        fc.nat({ max: 80 }),
        (sizes, messages, bytes, seconds, later) => {
          const stored = rows(sizes)
          const last = stored.at(-1) as Row
          const nowMs = last.newestAt + later * SECOND
          const retention = {
            ...(messages && { messages }),
            ...(bytes && { bytes }),
            ...(seconds && { ageMs: seconds * SECOND }),
          }
          const mayGo = (row: Row) =>
            (messages !== undefined && last.next - row.next >= messages) ||
            (bytes !== undefined && last.start + last.size - row.start - row.size >= bytes) ||
            (seconds !== undefined && row.newestAt + seconds * SECOND < nowMs)

          const floor = keeping(retention, stored).floor(nowMs)

          expect(floor).toBe(stored.find((row) => !mayGo(row))?.first ?? last.next)
        },
      ),
    )
  })
})

it('forgets what was trimmed, and goes on counting from there', () => {
  const segments = keeping({ messages: 30 }, TEN_ROWS)

  const below = segments.trim(NEWEST)

  expect(below).toBe(70)
  expect(segments.excess(NEWEST)).toBe(0)
  expect(segments.list.map(({ first }) => first)).toEqual([70, 80, 90])
})

it('knows the end of the log also after everything was trimmed', () => {
  const segments = keeping({ ageMs: SECOND }, TEN_ROWS)

  const below = segments.trim(NEWEST + 2 * SECOND)

  expect([below, segments.floor(NEWEST + 2 * SECOND), segments.list.length]).toEqual([100, 100, 0])
})

it('counts a row that was made longer as new again', () => {
  const segments = keeping({ ageMs: 5 * SECOND }, TEN_ROWS.slice(0, 1))

  segments.append({ first: 0, next: 11, start: 0, size: 1_100, newestAt: 5 * SECOND })

  expect(segments.list.length).toBe(1)
  expect(segments.floor(9 * SECOND)).toBe(0)
  expect(segments.floor(11 * SECOND)).toBe(11)
})

it('says when its oldest row becomes too old', () => {
  expect(keeping({ ageMs: 60 * SECOND }, TEN_ROWS).agesAt()).toBe(60 * SECOND)
  expect(keeping({ messages: 5 }, TEN_ROWS).agesAt()).toBeUndefined()
  expect(keeping({ ageMs: 60 * SECOND }, []).agesAt()).toBeUndefined()
})

it('keeps its index small however long the log is, and cuts at rows all the same', () => {
  const many = rows(Array(10 * LIMITS.segmentsPerTopic).fill([1, 100]))
  const edges = new Set(many.map(({ first }) => first))

  const segments = keeping({ messages: 5_000 }, many)

  const floor = segments.floor(0)
  expect(segments.list.length).toBeLessThanOrEqual(LIMITS.segmentsPerTopic)
  expect(many.length - floor).toBeGreaterThanOrEqual(5_000)
  expect(many.length - floor).toBeLessThan(5_100)
  expect(segments.list.every(({ first }) => edges.has(first))).toBe(true)
})

it('joins rows so that the joined stretch is as young as its youngest', () => {
  const many = rows(Array(LIMITS.segmentsPerTopic + 1).fill([1, 100]))

  const segments = keeping({ ageMs: many.length * SECOND }, many)

  for (const { first, newestAt } of segments.list.slice(0, -1)) expect(newestAt).toBe((first + 1) * SECOND)
})

it.each<[string, Retention]>([
  ['count', { messages: 300 }],
  ['bytes', { bytes: 30_000 }],
  ['age', { ageMs: 300 * SECOND }],
])('never brings back what was cut by %s, also where rows are joined', (_by, retention) => {
  const many = rows(Array(3 * LIMITS.segmentsPerTopic).fill([1, 100]))
  const segments = keeping(retention, [])

  const floors = many.map((row) => {
    segments.append(row)
    return segments.floor(row.newestAt)
  })

  expect(floors).toEqual(floors.toSorted((a, b) => a - b))
})
