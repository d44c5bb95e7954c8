import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { inRoot } from '../../../scripts/project.mjs'
import type { HistoryEvent } from '../../support/checker/history.ts'
import { Verdict } from '../../support/checker/verdict.ts'
import { Chromium } from './chromium.ts'
import { drawPlan, type Played, playHistory } from './history.ts'
import { FAULTS } from './kinds.ts'

/** What must have happened at least once in a campaign, or it has shown nothing about it. */
const KINDS = [
  ...Object.keys(FAULTS),
  'message refused',
  'token refused',
  'quota exhausted',
  'leading tab lost',
  'leading tab stopped',
  'page came back as it was',
  'page came back anew',
]

/** A campaign of fewer is too small to meet them all. */
const ENOUGH = 100

export interface Campaign {
  readonly seconds: number
  readonly verdict: Verdict
  /** So many of the histories were without a server, and so many had tabs of two profiles. */
  readonly local: number
  readonly twoProfiles: number
  /** How long it took until all had arrived everywhere, in ms: half of them, and the slowest. */
  readonly rested: { readonly medianMs: number; readonly mostMs: number }
  /** What clients told of, by code; that is no violation. */
  readonly codes: Readonly<Record<string, number>>
  /** Each with the command that repeats it. */
  readonly failures: readonly string[]
  readonly never: readonly string[]
}

export const repeat = (seed: number): string => `npm run faults:browser -- --histories 1 --seed ${seed}`

/** Plays the histories of so many seeds, one after the other, in one browser. */
export async function campaign(
  first: number,
  histories: number,
  tell: (line: string) => void,
  trace: (event: HistoryEvent) => void = () => {},
): Promise<Campaign> {
  const startedAt = performance.now()
  const verdict = new Verdict()
  const failures: string[] = []
  const played: Played[] = []
  const fail = (seed: number, what: string): void => {
    const line = `seed ${seed}: ${what}\n  ${repeat(seed)}`
    failures.push(line)
    tell(line)
  }
  /** The same seed does the same, and a real browser something else each time: so what happened is kept. */
  const keep = (seed: number, told: readonly string[]): void => {
    const file = inRoot('.messkit', 'histories', `browser-${seed}.jsonl`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${told.join('\n')}\n`)
    tell(`  all that the pages told: ${file}`)
  }
  let browser: Chromium | undefined
  for (let seed = first; seed < first + histories; seed++) {
    const before = failures.length
    try {
      browser ??= await Chromium.start()
      const one = await playHistory(drawPlan(seed), browser)
      played.push({ ...one, history: [], told: [] })
      verdict.add(one.verdict, `seed ${seed}`)
      one.history.forEach(trace)
      for (const [invariant, { examples }] of one.verdict.violations) fail(seed, `${invariant}: ${examples[0]}`)
      if (one.verdict.invalid > 0) fail(seed, 'fewer than half of what was published was acked')
      for (const trouble of one.troubles) fail(seed, trouble)
      if (failures.length > before) keep(seed, one.told)
    } catch (error) {
      fail(seed, `could not be played: ${error instanceof Error ? error.stack : error}`)
      // Whatever it left must not be the next one's.
      await browser?.end().catch(() => {})
      browser = undefined
    }
    if ((seed - first + 1) % 10 === 0) tell(`${seed - first + 1} of ${histories}`)
  }
  await browser?.end()

  const restedMs = played.map(({ restedMs }) => restedMs).sort((a, b) => a - b)
  const codes: Record<string, number> = {}
  for (const code of played.flatMap(({ codes }) => codes)) codes[code] = (codes[code] ?? 0) + 1
  return {
    seconds: Math.round((performance.now() - startedAt) / 1000),
    verdict,
    local: played.filter(({ plan }) => plan.setting.local).length,
    twoProfiles: played.filter(({ plan }) => plan.setting.second).length,
    rested: { medianMs: restedMs[restedMs.length >> 1] ?? 0, mostMs: restedMs.at(-1) ?? 0 },
    codes,
    failures,
    never: histories < ENOUGH ? [] : KINDS.filter((kind) => !verdict.faults.has(kind)),
  }
}

export function tellCampaign({
  seconds,
  verdict,
  local,
  twoProfiles,
  rested,
  codes,
  failures,
  never,
}: Campaign): string {
  const { histories, invalid, violationCount, counts, faults } = verdict
  const told = [...faults, ...Object.entries(codes)].map(([kind, count]) => `  ${kind}: ${count}`)
  const summary = [
    `${histories} histories (${local} local, ${twoProfiles} with two profiles) in ${seconds} s`,
    `${counts.get('publish') ?? 0} published`,
    `${counts.get('acked') ?? 0} acked`,
    `${counts.get('deliver') ?? 0} delivered`,
    `at rest after ${rested.medianMs} ms, at most ${rested.mostMs} ms`,
    `${violationCount} violations`,
    `${invalid} invalid`,
    `${failures.length} failures`,
  ].join(', ')
  return [...told, ...never.map((kind) => `  never: ${kind}`), summary].join('\n')
}
