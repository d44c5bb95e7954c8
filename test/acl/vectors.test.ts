import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PolicyError } from '../../packages/edge/src/acl/errors.ts'
import { type Dialect, parse } from '../../packages/edge/src/acl/parse.ts'
import { runVectors } from '../../packages/edge/src/acl/vectors.ts'

interface Vector {
  readonly id: string
  readonly dialects: readonly Dialect[]
  readonly rules: string
  readonly error?: { readonly kind: string; readonly line: number }
}

const read = (name: string): { vectors: Vector[] } =>
  JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8'))

describe.each([
  ['acl-v2.json', 428],
  ['acl-groups.json', 78],
  ['native.json', 187],
])('%s', (name, count) => {
  test(`all ${count} vectors pass in every dialect they name`, () => {
    const results = runVectors(read(name))

    expect(results.filter(({ faults, ran }) => faults.length > 0 || ran.length === 0)).toEqual([])
    expect(results).toHaveLength(count)
  })
})

test.each(['acl-v2.json', 'native.json'])(
  '%s: refused policies are refused for the reason and the line it names',
  (name) => {
    const refused = read(name).vectors.flatMap(({ id, dialects, rules, error }) =>
      error ? dialects.map((dialect) => ({ id, dialect, rules, error })) : [],
    )

    const found = refused.map(({ id, dialect, rules }) => ({ id, dialect, error: errorOf(rules, dialect) }))

    expect(found).toEqual(refused.map(({ id, dialect, error }) => ({ id, dialect, error })))
  },
)

function errorOf(rules: string, dialect: Dialect): { kind: string; line: number } | undefined {
  try {
    parse(rules, { dialect })
    return undefined
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    return { kind: error.kind, line: error.line }
  }
}

test('a vector whose dialects are unknown is skipped, and one that differs is named with what differs', () => {
  const vector = {
    id: 'v1',
    rules: 'acl allow all publish topic',
    request: { user: 'ana', action: 'publish', object: 'topic', properties: { name: 'a' } },
    expect: 'deny',
    final: 'deny',
    log: false,
  }

  const [unknown, differing] = runVectors([
    { ...vector, dialects: ['smoke-signals'] },
    { ...vector, dialects: ['native'] },
  ])

  expect(unknown).toEqual({ id: 'v1', ran: [], faults: [] })
  expect(differing?.faults).toContain('native: expect is allow and should be deny')
})

test.each([[null], [{}], [{ vectors: 7 }], ['vectors']])('%j is no file of vectors', (file) => {
  expect(() => runVectors(file)).toThrow(PolicyError)
})

test.each([
  [7],
  [null],
  [{}],
  [{ id: 'x', dialects: 'native' }],
  [{ id: 'x', dialects: ['native'], rules: 7 }],
  [{ id: 'x', dialects: ['native'], rules: '', request: 7, expect: 'deny' }],
  [{ id: 'x', dialects: ['native'], rules: '', request: { action: 7 }, expect: 'deny' }],
  [{ id: 'x', policy: {}, expect: 'allow' }],
  [{ id: 'x', policy: { actions: [], resourceTypes: {} }, expect: 'allow' }],
  [{ id: 'x', policy: { actions: [], resourceTypes: {} }, steps: 7, expect: 'allow' }],
])('a vector %j fails and is not thrown', (vector) => {
  const [result] = runVectors([vector])

  expect(result?.faults).not.toEqual([])
})
