import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Fate } from '../protocol/frames/publish.ts'
import { LIMITS } from '../protocol/limits.ts'
import { Publishers } from './publishers.ts'

const NOW = 1_800_000_000_000
const ANA = Publishers.key('ana', 'p0000001')

/** A publisher that has stored its sequences one by one, each at the offset beside it. */
function known(stored: readonly (readonly [sequence: number, offset: number])[], key = ANA, at = NOW): Publishers {
  const publishers = new Publishers()
  for (const [first, offset] of stored) publishers.record(key, { first, count: 1, offset, at })
  return publishers
}

function spansOf(publishers: Publishers): number {
  return [...publishers.entries()].reduce((count, [, { spans }]) => count + spans.length, 0)
}

describe('whether a frame can be taken', () => {
  const publishers = known([
    [1, 10],
    [2, 11],
    [5, 20],
  ])
  const check = (after: number, first: number, count = 1) => {
    const verdict = publishers.check(ANA, { after, first, count })
    return 'code' in verdict ? verdict.code : verdict.repeats
  }

  it('takes what follows, also over numbers that were refused', () => {
    expect([check(5, 6), check(5, 9), check(2, 9), check(0, 6)]).toEqual([0, 0, 0, 0])
  })

  it('knows a repeat, whole or at the front of a frame', () => {
    expect([check(4, 5), check(0, 1), check(0, 1, 5), check(4, 5, 3), check(0, 1, 20)]).toEqual([1, 1, 5, 1, 5])
  })

  it('notices that something before it is missing', () => {
    expect([check(6, 7), check(8, 20)]).toEqual(['sequence_gap', 'sequence_gap'])
  })

  it('refuses a frame that does not follow what it says it follows', () => {
    expect([check(5, 5), check(6, 5), check(1, 1)]).toEqual(['bad_params', 'bad_params', 'bad_params'])
  })

  it('begins with whatever number an unknown publisher begins, if nothing came before', () => {
    const nobody = new Publishers()

    const verdicts = [1, 7].map((first) => nobody.check(ANA, { after: 0, first, count: 3 }))

    expect(verdicts).toEqual([{ repeats: 0 }, { repeats: 0 }])
  })

  it('takes nothing blindly from a publisher that is not known any more', () => {
    const verdict = new Publishers().check(ANA, { after: 3, first: 4, count: 1 })

    expect(verdict).toMatchObject({ code: 'publisher_expired' })
  })
})

it('keeps apart users and publishers whatever they are called', () => {
  const users = fc.string()
  const publisher = fc.string({ unit: fc.constantFrom('a', '_', '-', '9'), minLength: 8 })

  fc.assert(
    fc.property(users, publisher, users, publisher, (a, p, b, q) => {
      expect(Publishers.key(a, p) === Publishers.key(b, q)).toBe(a === b && p === q)
    }),
  )
})

it('answers repeats with the offsets they were stored at, in runs', () => {
  const publishers = known([
    [1, 10],
    [2, 11],
    [5, 12],
    [6, 20],
    [7, 21],
  ])

  const fates = publishers.repeats(ANA, 1, 7)

  expect(fates).toEqual([
    { fate: 'duplicate', first: 1, count: 2, offset: 10 },
    { fate: 'duplicate', first: 3, count: 2 },
    { fate: 'duplicate', first: 5, count: 1, offset: 12 },
    { fate: 'duplicate', first: 6, count: 2, offset: 20 },
  ])
})

it('answers every repeat with its own offset, and at least the newest publisherWindow ones', () => {
  const step = fc.record({
    refused: fc.nat({ max: 3 }),
    foreign: fc.nat({ max: 3 }),
    count: fc.integer({ min: 1, max: 400 }),
  })

  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 40 }),
      fc.nat(),
      fc.integer({ min: 1, max: 500 }),
      (steps, from, count) => {
        const publishers = new Publishers()
        const stored = new Map<number, number>()
        let last = 0
        let offset = 0
        for (const step of steps) {
          const first = last + step.refused + 1
          offset += step.foreign
          publishers.record(ANA, { first, count: step.count, offset, at: NOW })
          for (let i = 0; i < step.count; i++) stored.set(first + i, offset++)
          last = first + step.count - 1
        }
        const first = (from % last) + 1
        const asked = Math.min(count, last - first + 1)

        const offsets = unroll(publishers.repeats(ANA, first, asked))

        expect([...offsets.keys()]).toEqual(Array.from({ length: asked }, (_, i) => first + i))
        for (const [sequence, offset] of offsets) if (offset !== undefined) expect(offset).toBe(stored.get(sequence))
        const remembered = [...stored.keys()].slice(-LIMITS.publisherWindow)
        for (const sequence of remembered.filter((sequence) => offsets.has(sequence)))
          expect(offsets.get(sequence)).toBe(stored.get(sequence))
      },
    ),
  )
})

function unroll(fates: readonly Fate[]): Map<number, number | undefined> {
  const offsets = new Map<number, number | undefined>()
  for (const { first, count, offset } of fates)
    for (let i = 0; i < count; i++) offsets.set(first + i, offset === undefined ? undefined : offset + i)
  return offsets
}

it('remembers no more spans of a publisher than its window needs', () => {
  const publishers = known(Array.from({ length: LIMITS.publisherWindow + 500 }, (_, i) => [i + 1, 2 * i] as const))

  expect(spansOf(publishers)).toBe(LIMITS.publisherWindow)
  expect(publishers.repeats(ANA, 1, 1)).toEqual([{ fate: 'duplicate', first: 1, count: 1 }])
  expect(publishers.repeats(ANA, 501, 1)).toEqual([{ fate: 'duplicate', first: 501, count: 1, offset: 1_000 }])
})

describe('forgetting', () => {
  const LATER = NOW + LIMITS.publisherIdleMs + 1

  it('forgets a publisher that was silent for long and whose messages are gone', () => {
    const publishers = known([[1, 10]])

    const changed = publishers.prune(LATER, 11)

    expect(changed).toEqual(new Set([ANA]))
    expect(publishers.check(ANA, { after: 1, first: 2, count: 1 })).toMatchObject({ code: 'publisher_expired' })
  })

  it.each([
    ['was not silent for long', LATER - 1, 11],
    ['has a message that is kept', LATER, 10],
  ])('remembers a publisher that %s', (_why, nowMs, floor) => {
    const publishers = known([[1, 10]])

    const changed = publishers.prune(nowMs, floor)

    expect(changed.size).toBe(0)
    expect(publishers.check(ANA, { after: 0, first: 1, count: 1 })).toEqual({ repeats: 1 })
  })

  it('forgets the most silent ones above publishersPerTopic', () => {
    const publishers = new Publishers()
    for (let i = 0; i < LIMITS.publishersPerTopic + 3; i++)
      publishers.record(`ana.${i}`, { first: 1, count: 1, offset: i, at: NOW + (i === 0 ? 1 : 0) * 1e9 + i })

    const forgotten = publishers.prune(NOW, 0)

    expect(forgotten).toEqual(new Set(['ana.1', 'ana.2', 'ana.3']))
    expect([...publishers.entries()].length).toBe(LIMITS.publishersPerTopic)
  })

  it('forgets offsets of the most silent ones above spansPerTopic, and says whose', () => {
    const publishers = new Publishers()
    const count = Math.ceil(LIMITS.spansPerTopic / 1_000) + 2
    for (let i = 0; i < count; i++)
      for (let n = 0; n < 1_000; n++)
        publishers.record(`ana.${i}`, { first: n + 1, count: 1, offset: 2 * (1_000 * i + n), at: NOW + i })

    const changed = publishers.prune(NOW + count, 0)

    expect(spansOf(publishers)).toBeLessThanOrEqual(LIMITS.spansPerTopic)
    expect(changed).toEqual(new Set(['ana.0', 'ana.1', 'ana.2']))
    expect(publishers.check('ana.0', { after: 1_000, first: 1_001, count: 1 })).toEqual({ repeats: 0 })
  })

  it('counts the offsets of those that it forgets only once', () => {
    const publishers = new Publishers()
    const half = Math.ceil(LIMITS.spansPerTopic / 1_000)
    for (let i = 0; i < 2 * half + 4; i++) {
      const at = i < half ? NOW : LATER
      for (let n = 0; n < 1_000; n++)
        publishers.record(`ana.${i}`, { first: n + 1, count: 1, offset: 2 * (1_000 * i + n), at })
    }

    publishers.prune(LATER, 2_000 * half)

    expect(spansOf(publishers)).toBeLessThanOrEqual(LIMITS.spansPerTopic)
  })

  it('is due early when a crowd of publishers comes between two checkpoints', () => {
    const publishers = new Publishers()
    for (let i = 0; i < 2 * LIMITS.publishersPerTopic; i++)
      publishers.record(`ana.${i}`, { first: 1, count: 1, offset: i, at: NOW })
    const before = publishers.crowded

    publishers.record('ana.more', { first: 1, count: 1, offset: 99_999, at: NOW })

    expect([before, publishers.crowded]).toEqual([false, true])
  })
})
