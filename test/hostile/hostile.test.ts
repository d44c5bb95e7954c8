import { describe, expect, test } from 'vitest'
import { playCorpus, playFloods } from './campaign.ts'
import { goodToken } from './case.ts'
import { makeKeys } from './cases/tokens.ts'
import { makeCorpus } from './corpus.ts'
import { decodeFrames } from './frames.ts'
import { RULE_NAMES } from './rules.ts'

/** Cases of which each has a field, a place or a condition of its own. */
const CASES = 400
const FLOOD_SHARE = 0.1
const FRAMES = 500_000

describe('the corpus', () => {
  test('has a case for every rule, and no case twice', async () => {
    const corpus = await makeCorpus(await makeKeys(), await goodToken())

    const names = corpus.map(({ name }) => name)
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
    expect(RULE_NAMES.filter((rule) => !corpus.some((one) => one.rule === rule))).toEqual([])
    expect(corpus.length).toBeGreaterThanOrEqual(CASES)
  })

  test('is answered as the rules say, and disturbs nobody', { timeout: 600_000 }, async () => {
    const { failures, cases, byAnswer, witness, uncaught, resets } = await playCorpus()

    expect(failures).toEqual([])
    expect({ uncaught, resets }).toEqual({ uncaught: 0, resets: 0 })
    expect(witness.delivered).toBe(witness.published)
    expect(witness.published).toBeGreaterThan(cases)
    expect(Object.keys(byAnswer).length).toBeGreaterThan(30)
  })
})

test('floods lose nothing of others, fail nothing, and leave the server no larger than its bounds', {
  timeout: 600_000,
}, async () => {
  const { failures, witness } = await playFloods(FLOOD_SHARE)

  expect(failures).toEqual([])
  expect(witness.delivered).toBe(witness.published)
})

test('no generated frame makes a decoder throw or answer out of the table', { timeout: 600_000 }, () => {
  const { failures, never, seed } = decodeFrames(FRAMES)

  expect({ seed, failures, never }).toEqual({ seed, failures: [], never: [] })
})
