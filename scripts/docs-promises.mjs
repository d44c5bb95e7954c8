// The figures of docs/reference/promises.md: what the newest campaigns wrote into test/results, never what was typed.
import { existsSync, readFileSync } from 'node:fs'
import { TAB_MUTANTS } from '../test/sim/browser/mutants.ts'
import { MUTANTS } from '../test/sim/mutants.ts'
import { QUEUE_MUTANTS } from '../test/sim/queue/mutants.ts'
import { INVARIANTS } from '../test/support/checker/invariants.ts'
import { table } from './docs-source.mjs'
import { inRoot } from './project.mjs'

/** In the order in which the page names them. */
const CAMPAIGNS = {
  sim: 'simulation',
  'sim-tabs': 'simulated tabs',
  faults: 'processes',
  'faults-queues': 'queues of processes',
  browser: 'browsers',
}

const NOTHING = 'Not run yet: `npm run proof` does.'

function result(name) {
  const path = inRoot(`test/results/${name}.json`)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
}

const results = () =>
  Object.entries(CAMPAIGNS).flatMap(([name, words]) => {
    const found = result(name)
    return found ? [{ ...found, words }] : []
  })

const readable = (count = 0) => count.toLocaleString('en')
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0)

export function campaigns() {
  const rows = results().map(({ words, command, date, verdict }) => [
    words,
    `\`${command}\``,
    date.slice(0, 10),
    readable(verdict.histories),
    readable(verdict.counts.publish ?? verdict.counts.enqueue),
    readable(verdict.counts.deliver ?? verdict.counts.began),
    readable(sum(Object.values(verdict.faults))),
    readable(sum(verdict.violations.map(({ count }) => count))),
    readable(verdict.invalid),
  ])
  if (rows.length === 0) return NOTHING
  const head = [
    'campaign',
    'command',
    'date',
    'histories',
    'published, enqueued',
    'delivered, run',
    'faults',
    'violations',
    'invalid',
  ]
  return table(head, rows)
}

export function invariants() {
  const all = results()
  const rows = Object.entries(INVARIANTS).map(([name, { number, promise }]) => [
    number,
    promise,
    name,
    readable(sum(all.map(({ verdict }) => verdict.checked[name] ?? 0))),
    readable(
      sum(all.flatMap(({ verdict }) => verdict.violations.filter((v) => v.invariant === name).map((v) => v.count))),
    ),
  ])
  return table(['', 'promise', 'what would be wrong', 'looked at', 'found'], rows)
}

export function faults() {
  const rows = results().map(({ words, verdict }) => [
    words,
    Object.entries(verdict.faults)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([kind, count]) => `${kind} ${readable(count)}`)
      .join(', '),
  ])
  return rows.length === 0 ? NOTHING : table(['campaign', 'how often each kind of fault happened'], rows)
}

export function plantedBugs() {
  return [...MUTANTS, ...TAB_MUTANTS, ...QUEUE_MUTANTS]
    .map(({ name, file }) => `- ${name} (\`${file.split('/').at(-1)}\`)`)
    .join('\n')
}

export function hostile() {
  const found = result('hostile')
  if (!found) return NOTHING
  const { cases, byAnswer, uncaught, resets, witness, floods, frames } = found
  return [
    table(
      ['what was sent', 'how much'],
      [
        ['cases of the corpus', readable(cases)],
        ['different answers', readable(Object.keys(byAnswer).length)],
        ['uncaught exceptions', readable(uncaught)],
        ['objects that were reset', readable(resets)],
        ['generated frames through the decoder', readable(frames.count)],
        ...floods.map(({ name, count }) => [`flood: ${name}`, readable(count)]),
        [
          'the healthy pair beside it: published, and delivered once',
          `${readable(witness.published)}, ${readable(witness.delivered)}`,
        ],
        [
          'its publish to delivery, 99th percentile, before and during',
          `${witness.baselineP99Ms} ms, ${witness.p99Ms} ms`,
        ],
      ],
    ),
  ].join('\n')
}
