import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { inRoot } from '../../scripts/project.mjs'
import { ATTACKS } from './table.ts'

/** Cases of each kind. */
const KINDS = { A: 13, B: 8, C: 18, D: 13, E: 13, F: 7, G: 5 }

test('every case stands in the table, once, with its tests or with the feature that will bring it', () => {
  const ids = Object.entries(KINDS).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, i) => `${kind}${i + 1}`),
  )

  expect(ATTACKS.map(({ id }) => id)).toEqual(ids)
  for (const { id, tests = [], later } of ATTACKS)
    expect([id, tests.length > 0 !== (later !== undefined)]).toEqual([id, true])
})

test.each(ATTACKS.flatMap(({ id, tests = [] }) => tests.map(([file, title]) => [id, file, title] as const)))(
  '%s is tested in %s: %s',
  (_, file, title) => {
    expect(title).not.toBe('')
    expect(readFileSync(inRoot(file), 'utf8').replaceAll(/\s+/g, ' ')).toContain(title)
  },
)
