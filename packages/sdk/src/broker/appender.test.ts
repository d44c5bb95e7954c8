import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeDeliver } from '../protocol/answers.ts'
import { LINE_BREAK } from '../protocol/codec.ts'
import type { Run } from '../protocol/frames/deliver.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Chunk } from '../store/store.ts'
import { Appender, type Part } from './appender.ts'

const NOW = 1_800_000_000_000
const EMPTY = { head: 0, bytes: 0, tail: undefined }

const bytesOf = (text: string) => new TextEncoder().encode(text).length

function part(payloads: readonly string[], more: Partial<Part> = {}): Part {
  const body = payloads.join(LINE_BREAK)
  return {
    user: 'ana',
    publisher: 'p0000001',
    first: 1,
    count: payloads.length,
    extras: undefined,
    body,
    bytes: bytesOf(body),
    ...more,
  }
}

function rowBytes({ runs, users, body }: Chunk): number {
  return bytesOf(runs) + bytesOf(users) + bytesOf(body)
}

const runsOf = ({ runs }: Chunk) => JSON.parse(`[${runs}]`) as Run[]

/** What offering and sealing wrote to the log, with rows that were made longer in place. */
function applied(
  rows: readonly Chunk[],
  { replaceTail, append }: { replaceTail?: Chunk; append: readonly Chunk[] },
): Chunk[] {
  return [...(replaceTail ? [...rows.slice(0, -1), replaceTail] : rows), ...append]
}

describe('giving offsets', () => {
  it('counts on from where the log ended', () => {
    const appender = new Appender({ head: 40, bytes: 9_000, tail: undefined })

    appender.offer(part(['1', '2']), NOW)
    appender.offer(part(['3'], { publisher: 'p0000002' }), NOW)
    const { append } = appender.seal()

    expect(append).toMatchObject([{ first: 40, next: 43, start: 9_000, at: NOW, body: '1,\n2,\n3' }])
    expect(appender.head).toBe(43)
  })

  it('joins what one publisher sends on into one run', () => {
    const appender = new Appender(EMPTY)

    appender.offer(part(['1', '2']), NOW)
    appender.offer(part(['3'], { first: 3 }), NOW)
    appender.offer(part(['4'], { first: 5 }), NOW)
    appender.offer(part(['5'], { first: 6, user: 'bob' }), NOW)
    appender.offer(part(['6'], { first: 7, user: 'bob', publisher: 'p0000002' }), NOW)
    const [row] = appender.seal().append

    expect(row && runsOf(row)).toEqual([
      ['p0000001', 1, 3, NOW],
      ['p0000001', 5, 1, NOW],
      ['p0000001', 6, 1, NOW],
      ['p0000002', 7, 1, NOW],
    ])
    expect(row?.users).toBe('["ana","ana","bob","bob"]')
  })

  it('keeps a run with extras by itself', () => {
    const appender = new Appender(EMPTY)

    appender.offer(part(['1'], { extras: { keys: ['k'] } }), NOW)
    appender.offer(part(['2'], { first: 2 }), NOW)
    appender.offer(part(['3'], { first: 3, extras: { ids: ['origin01', 9] } }), NOW)
    const [row] = appender.seal().append

    expect(row && runsOf(row)).toEqual([
      ['p0000001', 1, 1, NOW, { keys: ['k'] }],
      ['p0000001', 2, 1, NOW],
      ['p0000001', 3, 1, NOW, { ids: ['origin01', 9] }],
    ])
  })

  it('gives one commit the time of its first message', () => {
    const appender = new Appender(EMPTY)

    const times = [appender.offer(part(['1']), NOW), appender.offer(part(['2'], { first: 2 }), NOW + 9)]
    appender.seal()
    const later = appender.offer(part(['3'], { first: 3 }), NOW + 20)

    expect([...times, later]).toEqual([NOW, NOW, NOW + 20])
  })
})

describe('the last row', () => {
  function twice(first: Part, second: Part, laterMs = 1): { sealed: ReturnType<Appender['seal']>; appender: Appender } {
    const appender = new Appender(EMPTY)
    appender.offer(first, NOW)
    appender.seal()
    appender.offer(second, NOW + laterMs)
    return { sealed: appender.seal(), appender }
  }

  it('is made longer while it is small and young', () => {
    const { sealed } = twice(part(['1', '2']), part(['3'], { first: 3, user: 'bob' }))

    expect(sealed.append).toEqual([])
    expect(sealed.replaceTail).toMatchObject({
      first: 0,
      next: 3,
      at: NOW,
      start: 0,
      users: '["ana","bob"]',
      body: '1,\n2,\n3',
    })
  })

  it('is followed as if a row of its own had come', () => {
    const { sealed } = twice(part(['1', '2']), part(['3'], { first: 3 }))

    const { replaceTail, fresh } = sealed
    expect(fresh).toMatchObject([{ first: 2, next: 3, at: NOW + 1, body: '3' }])
    expect(fresh[0]?.start).toBe((replaceTail?.size ?? 0) - (fresh[0]?.size ?? 0))
  })

  it.each([
    [
      'it would grow above tailBytes',
      part(['1']),
      part([JSON.stringify('x'.repeat(LIMITS.tailBytes))], { first: 2 }),
      1,
    ],
    ['it is large already', part([JSON.stringify('x'.repeat(LIMITS.tailBytes))]), part(['1'], { first: 2 }), 1],
    ['it is older than tailMs', part(['1']), part(['2'], { first: 2 }), LIMITS.tailMs + 1],
  ])('is left alone when %s', (_why, first, second, laterMs) => {
    const { sealed } = twice(first, second, laterMs)

    expect(sealed.replaceTail).toBeUndefined()
    expect(sealed.append).toMatchObject([{ first: 1, next: 2 }])
  })

  it('is not made longer once it was trimmed', () => {
    const appender = new Appender(EMPTY)
    appender.offer(part(['1', '2']), NOW)
    appender.seal()

    appender.trimmed(2)
    appender.offer(part(['3'], { first: 3 }), NOW)

    expect(appender.seal()).toMatchObject({ append: [{ first: 2, next: 3 }] })
  })

  it('is made longer if only rows before it were trimmed', () => {
    const appender = new Appender(EMPTY)
    appender.offer(part(['1', '2']), NOW)
    appender.seal()

    appender.trimmed(0)
    appender.offer(part(['3'], { first: 3 }), NOW)

    expect(appender.seal().replaceTail).toMatchObject({ first: 0, next: 3 })
  })

  it('stays the last row when a commit appends nothing', () => {
    const { appender } = twice(part(['1']), part(['2'], { first: 2 }))

    const nothing = appender.seal()
    appender.offer(part(['3'], { first: 3 }), NOW)

    expect(nothing).toEqual({ append: [], fresh: [] })
    expect(appender.seal().replaceTail).toMatchObject({ first: 0, next: 3 })
  })
})

describe('the size of rows', () => {
  const ENVELOPE_BYTES = 300

  const BIG = 'x'.repeat(200 * 1024)
  const KEYS = Array.from({ length: 1_000 }, (_, i) => `${i}`.padEnd(LIMITS.keyBytes, 'k'))

  it.each<[string, Part[]]>([
    ['a frame of large messages', [part(Array(5).fill(`"${BIG}"`))]],
    ['one small message and many large ones', [part(['1', ...Array(4).fill(`"${BIG}"`)])]],
    ['many large ones and a small one', [part([...Array(4).fill(`"${BIG}"`), '1'])]],
    ['frames that are half a row each', Array.from({ length: 7 }, (_, i) => part([`"${BIG}"`], { first: i + 1 }))],
    [
      'long keys on short messages',
      [
        part(
          KEYS.map(() => '1'),
          { extras: { keys: KEYS } },
        ),
        part(
          KEYS.map(() => '1'),
          { first: 1_001, extras: { keys: KEYS } },
        ),
      ],
    ],
    [
      'long keys on long messages',
      [
        part(
          KEYS.map(() => `"${'x'.repeat(400)}"`),
          { extras: { keys: KEYS } },
        ),
      ],
    ],
    ['letters of three bytes', [part(Array(4).fill(`"${'あ'.repeat(80_000)}"`))]],
    [
      'many publishers',
      Array.from({ length: 6_000 }, (_, i) => part(['1'], { publisher: `${i}`.padEnd(LIMITS.publisherChars, 'p') })),
    ],
    [
      'many publishers of users with long names',
      Array.from({ length: 6_000 }, (_, i) => part(['1'], { user: `${i}`.padEnd(500, 'u') })),
    ],
    [
      'one user who takes turns between two publishers',
      Array.from({ length: 9_000 }, (_, i) =>
        part(['1'], { publisher: `p000000${i % 2}`, first: i + 1, user: 'ü'.repeat(120) }),
      ),
    ],
  ])('is bounded for %s, and so is the frame that delivers one', (_what, parts) => {
    const appender = new Appender(EMPTY)

    for (const part of parts) appender.offer(part, NOW)
    const { append } = appender.seal()

    for (const row of append) {
      expect(rowBytes(row)).toBeLessThanOrEqual(LIMITS.rowBytes)
      expect(row.size).toBeGreaterThanOrEqual(bytesOf(row.runs) + bytesOf(row.body))
      expect(bytesOf(encodeDeliver(0xffff_ffff, row, Number.MAX_SAFE_INTEGER))).toBeLessThanOrEqual(
        LIMITS.rowBytes + ENVELOPE_BYTES,
      )
    }
    expect(append.map(({ body }) => body).join(LINE_BREAK)).toBe(parts.map(({ body }) => body).join(LINE_BREAK))
    expect(append.flatMap((row) => runsOf(row)).reduce((count, [, , more]) => count + more, 0)).toBe(
      append.at(-1)?.next,
    )
  })

  it('lets the largest message with the longest key be one row', () => {
    const appender = new Appender(EMPTY)
    const largest = `"${'x'.repeat(LIMITS.messageBytes - 2)}"`

    appender.offer(
      part([largest, largest], { extras: { keys: ['k'.repeat(LIMITS.keyBytes), null], ids: ['origin01', 7] } }),
      NOW,
    )
    const { append } = appender.seal()

    expect(append).toHaveLength(2)
    expect(append.map((row) => runsOf(row))).toEqual([
      [['p0000001', 1, 1, NOW, { ids: ['origin01', 7], keys: ['k'.repeat(LIMITS.keyBytes)] }]],
      [['p0000001', 2, 1, NOW, { ids: ['origin01', 8], keys: [null] }]],
    ])
  })

  it('counts what waits with all that is kept beside the payloads', () => {
    const appender = new Appender(EMPTY)

    appender.offer(
      part(
        KEYS.map(() => '1'),
        { extras: { keys: KEYS } },
      ),
      NOW,
    )
    const waiting = appender.waitingBytes
    appender.seal()

    expect(waiting).toBeGreaterThan(1_000 * LIMITS.keyBytes)
    expect(appender.waitingBytes).toBe(0)
  })
})

it('loses, doubles and reorders nothing, whatever is offered and however it is sealed', () => {
  const offer = fc.record({
    publisher: fc.constantFrom('p0000001', 'p0000002'),
    payloads: fc.array(
      fc.oneof(
        fc.json(),
        fc.integer({ min: 1, max: 90_000 }).map((chars) => `"${'x'.repeat(chars)}"`),
      ),
      { minLength: 1, maxLength: 12 },
    ),
    keyed: fc.boolean(),
    sealed: fc.boolean(),
    laterMs: fc.nat({ max: 40_000 }),
  })

  fc.assert(
    fc.property(fc.array(offer, { minLength: 1, maxLength: 25 }), (offers) => {
      const appender = new Appender(EMPTY)
      const next = new Map<string, number>()
      const wanted: string[] = []
      let rows: Chunk[] = []
      let nowMs = NOW
      for (const { publisher, payloads, keyed, sealed, laterMs } of offers) {
        const first = next.get(publisher) ?? 1
        next.set(publisher, first + payloads.length)
        const keys = payloads.map((_, i) => `${publisher}${first + i}`)
        nowMs += laterMs
        appender.offer(part(payloads, { publisher, first, extras: keyed ? { keys } : undefined }), nowMs)
        wanted.push(...payloads.map((payload, i) => `${publisher} ${first + i} ${keyed ? keys[i] : '-'} ${payload}`))
        if (sealed) rows = applied(rows, appender.seal())
      }
      if (!appender.empty) rows = applied(rows, appender.seal())

      const found = rows.flatMap((row) => {
        const payloads = row.body.split(LINE_BREAK)
        return runsOf(row)
          .flatMap(([publisher, first, count, , extras]) =>
            Array.from({ length: count }, (_, i) => `${publisher} ${first + i} ${extras?.keys?.[i] ?? '-'}`),
          )
          .map((head, i) => `${head} ${payloads[i]}`)
      })

      expect(found).toEqual(wanted)
      for (const [i, row] of rows.entries()) {
        expect(row.first).toBe(rows[i - 1]?.next ?? 0)
        expect(row.start).toBe((rows[i - 1]?.start ?? 0) + (rows[i - 1]?.size ?? 0))
        expect(row.at).toBeGreaterThanOrEqual(rows[i - 1]?.at ?? 0)
        expect(JSON.parse(row.users)).toHaveLength(runsOf(row).length)
      }
      expect([appender.head, appender.bytes]).toEqual([
        rows.at(-1)?.next,
        (rows.at(-1)?.start ?? 0) + (rows.at(-1)?.size ?? 0),
      ])
    }),
    { numRuns: 60 },
  )
})
