import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lineFault, payloadFault } from './payload.ts'

const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])

describe('a value at the call', () => {
  it('is taken if JSON gives it back as it was', () => {
    const value = fc.jsonValue({ maxDepth: 20 })

    fc.assert(
      fc.property(value, (value) => {
        expect(payloadFault(value)).toBeUndefined()
        expect(lineFault(JSON.stringify(value))).toBeUndefined()
      }),
    )
  })

  it('is refused, or else written as a line that every home takes', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withSparseArray: true,
      withBoxedValues: true,
      withObjectString: true,
      stringUnit: 'binary',
    })

    fc.assert(
      fc.property(anything, (value) => {
        if (payloadFault(value)) return

        const line = JSON.stringify(value)

        expect(lineFault(line)).toBeUndefined()
        expect(payloadFault(JSON.parse(line))).toBeUndefined()
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a BigInt', 1n],
    ['not a number', Number.NaN],
    ['infinite', Number.POSITIVE_INFINITY],
    ['a map', new Map()],
    ['a set', new Set([1])],
    ['a weak map', new WeakMap()],
    ['a promise', Promise.resolve()],
    ['a regular expression', /x/],
    ['an error', new Error('x')],
    ['bytes', new Uint8Array(2)],
    ['a buffer', new ArrayBuffer(2)],
    ['a view', new DataView(new ArrayBuffer(2))],
    ['a boxed number', Object(1)],
    ['a boxed string', Object('x')],
    ['a boxed BigInt', Object(1n)],
    ['a boxed symbol', Object(Symbol('x'))],
    ['half of a surrogate pair', 'a\ud83d'],
    // biome-ignore lint/suspicious/noSparseArray: a hole is what this is about
    ['a list with a hole', [1, , 2]],
  ])('is refused if it is %s, at the top and inside', (_what, value) => {
    const codes = [value, [value], { a: { b: [value] } }].map((value) => payloadFault(value)?.code)

    expect(codes).toEqual(['bad_payload', 'bad_payload', 'bad_payload'])
  })

  it('is refused for half of a surrogate pair in a key', () => {
    expect(payloadFault({ 'a\ud83d': 1 })?.code).toBe('bad_payload')
  })

  it('may be 64 levels deep and no deeper', () => {
    expect(payloadFault(nested(64))).toBeUndefined()
    expect(payloadFault(nested(65))?.code).toBe('too_deep')
    expect(payloadFault(nested(5_000))?.code).toBe('too_deep')
  })

  it('is judged as deep as the line that is made of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 55, max: 75 }), fc.boolean(), (levels, list) => {
        let value: unknown = 'x'
        for (let i = 0; i < levels; i++) value = list ? [value] : { a: value }

        expect(payloadFault(value)?.code).toBe(lineFault(JSON.stringify(value))?.code)
      }),
    )
  })

  it('is refused if it contains itself', () => {
    const loop: Record<string, unknown> = {}
    loop.self = { again: [loop] }

    expect(payloadFault(loop)?.code).toBe('too_deep')
  })

  it('counts a property that is undefined as absent, as JSON does', () => {
    expect(payloadFault({ a: undefined, b: 1 })).toBeUndefined()
  })

  it('counts only its own properties, as JSON does', () => {
    const value = Object.assign(Object.create({ inherited: () => 1 }), { own: 1 })

    expect(payloadFault(value)).toBeUndefined()
  })

  it('stands for what its toJSON gives', () => {
    const date = new Date(0)
    const bad = { toJSON: () => new Map() }

    expect(payloadFault({ date })).toBeUndefined()
    expect(payloadFault([bad])?.code).toBe('bad_payload')
  })

  it('says where the fault is, and not what stands there', () => {
    const fault = payloadFault({ list: [1, { secret: 'hunter2\ud800' }] })

    expect(fault?.message).toBe('data.list[1].secret holds half of a surrogate pair')
  })
})

describe('a line at the border', () => {
  it('is refused for exactly what JSON does not read', () => {
    // An escape, behind an even number of backslashes.
    const half = /(?<!\\)(?:\\\\)*\\ud[89a-f]/i
    const reads = (line: string) => {
      try {
        JSON.parse(line)
        return true
      } catch {
        return false
      }
    }

    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '1', ',', ':', '\\', 'u') }),
        ),
        (line) => {
          expect(lineFault(line)?.code === undefined).toBe(reads(line) && !half.test(line))
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('is refused for a lone surrogate however it is written', () => {
    const half = fc
      .integer({ min: 0xd800, max: 0xdfff })
      .map((unit) => ({ raw: String.fromCharCode(unit), escaped: `\\u${unit.toString(16)}` }))

    fc.assert(
      fc.property(half, fc.boolean(), fc.boolean(), ({ raw, escaped }, asKey, asRaw) => {
        const text = `"a${asRaw ? raw : escaped}b"`

        expect(lineFault(asKey ? `{${text}:1}` : `[${text}]`)?.code).toBe('bad_payload')
      }),
    )
  })

  it('takes a pair however it is written', () => {
    expect(
      ['"🚀"', '"\\ud83d\\ude80"', '"\\uD83D\\uDE80"', '"\\ud83d\ude80"'].map((line) => lineFault(line)?.code),
    ).toEqual([undefined, undefined, undefined, undefined])
  })

  it('is looked into for depth however short it is', () => {
    const shortest = '['.repeat(65) + ']'.repeat(65)

    expect(lineFault(shortest)?.code).toBe('too_deep')
    expect(lineFault(shortest.slice(1, -1))).toBeUndefined()
  })
})
