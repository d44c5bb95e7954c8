import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Range } from '../protocol/answers.ts'
import { LINE_BREAK } from '../protocol/codec.ts'
import type { Run, RunExtras } from '../protocol/frames/deliver.ts'
import { cut, join } from './range.ts'

/** One message as a subscriber understands it: the naive model that ranges are compared with. */
interface Entry {
  readonly publisher: string
  readonly sequence: number
  readonly at: number
  readonly id: string | undefined
  readonly key: string | null | undefined
  readonly payload: string
}

function read({ first, next, runs, body }: Range): Entry[] {
  const payloads = body === '' ? [] : body.split(LINE_BREAK)
  const entries = (JSON.parse(`[${runs}]`) as Run[]).flatMap(([publisher, sequence, count, at, extras]) =>
    Array.from({ length: count }, (_, i) => ({
      publisher,
      sequence: sequence + i,
      at,
      id: extras?.ids && `${extras.ids[0]}-${extras.ids[1] + i}`,
      key: extras?.keys?.[i],
    })),
  )
  expect(entries.length).toBe(next - first)
  expect(payloads.length).toBe(next - first)
  return entries.map((entry, i) => ({ ...entry, payload: payloads[i] as string }))
}

const run = fc
  .record({
    publisher: fc.constantFrom('p0000001', 'p0000002'),
    sequence: fc.integer({ min: 1, max: 1e9 }),
    at: fc.nat(),
    ids: fc.boolean(),
    keyed: fc.boolean(),
    payloads: fc.array(fc.json(), { minLength: 1, maxLength: 6 }),
  })
  .map(({ publisher, sequence, at, ids, keyed, payloads }) => {
    const extras: RunExtras = {
      ...(ids && { ids: ['origin01', 7] }),
      ...(keyed && { keys: payloads.map((_, i) => (i % 2 ? null : `k"${i}`)) }),
    }
    const plain: Run = [publisher, sequence, payloads.length, at]
    return { run: ids || keyed ? ([...plain.slice(0, 4), extras] as Run) : plain, payloads }
  })

const range = fc
  .record({ first: fc.nat({ max: 1_000 }), stretch: fc.array(run, { minLength: 1, maxLength: 6 }) })
  .map(({ first, stretch }): Range => {
    const payloads = stretch.flatMap(({ payloads }) => payloads)
    return {
      first,
      next: first + payloads.length,
      runs: JSON.stringify(stretch.map(({ run }) => run)).slice(1, -1),
      body: payloads.join(LINE_BREAK),
    }
  })

const position = fc.integer({ min: -3, max: 45 })

it('cuts out exactly the messages between two offsets', () => {
  fc.assert(
    fc.property(range, position, position, (range, a, b) => {
      const [from, to] = [range.first + a, range.first + b]

      const part = cut(range, from, to)

      const wanted = read(range).filter((_, i) => range.first + i >= from && range.first + i < to)
      expect(read(part)).toEqual(wanted)
      if (wanted.length > 0) expect(part.first).toBe(Math.max(from, range.first))
    }),
    { numRuns: 500 },
  )
})

it('gives back the range itself, text untouched, where nothing is cut', () => {
  fc.assert(
    fc.property(range, (range) => {
      expect(cut(range, range.first, range.next)).toBe(range)
      expect(cut(range, 0, Number.MAX_SAFE_INTEGER)).toBe(range)
    }),
  )
})

it('joins what it has cut, wherever it was cut', () => {
  fc.assert(
    fc.property(range, fc.array(position, { maxLength: 4 }), (range, at) => {
      const edges = [
        ...new Set([
          range.first,
          ...at.map((at) => range.first + at).filter((at) => at > range.first && at < range.next),
          range.next,
        ]),
      ].toSorted((a, b) => a - b)
      const parts = edges.slice(1).map((edge, i) => cut(range, edges[i] as number, edge))

      const whole = join(parts)

      expect(whole).toMatchObject({ first: range.first, next: range.next, body: range.body })
      expect(read(whole)).toEqual(read(range))
    }),
  )
})

it('has nothing to join in an empty list', () => {
  expect(() => join([])).toThrow(RangeError)
})
