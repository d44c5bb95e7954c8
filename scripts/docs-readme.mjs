// Figures of README.md: what was measured, never what was typed.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { table } from './docs-source.mjs'
import { inRoot } from './project.mjs'

const RESULTS = 'bench/results/latest.json'
const QUEUES = 'bench/results/queues.json'
const WORDS = {
  'publish-2000': 'Durable publishes, one client, 2,000 in flight',
  'fanout-100': 'Deliveries to 100 subscribers',
  'latency-1': 'Publish to ack, one in flight, median',
  'tab-latency-session': 'Tab to tab, nothing kept, median',
  'tab-latency-durable': 'Tab to tab, durable, median',
  'tab-throughput-session': 'Tab to tab, nothing kept, 2,000 in flight',
  'outbox-drain': '10,000 messages stored offline, until acked',
  'stored-1': 'Publish to stored on the disk, median',
  'topics-32': '32 topics live on one page',
  'tab-handover': 'The leading tab closes, until another leads',
  'queue-enqueue-200': 'Jobs enqueued one by one, 200 in flight',
  'queue-process-50': 'Jobs taken and finished, concurrency 50, handlers that do nothing',
  'queue-start-1': 'From `enqueue()` to the start of the handler, idle worker, median',
  'queue-backlog-million': '1,000 jobs taken and finished while a million wait, against a thousand',
}
/** What the comparison itself rests on, and no figure of Messkit's. */
const HIDDEN = ['baseline-vs-bare']
/** Smaller changes of a size are no news: another zlib makes as much. */
const TOLERANCE_KB = 0.3

/** The table of the newest benchmark; a line that says how to get one where there is none. */
export function figures() {
  if (!existsSync(inRoot(RESULTS)))
    return 'Not measured yet: `npm run bench` measures and writes `bench/results/latest.json`.'
  const { at, machine, entries } = measured(RESULTS)
  return [
    tableOf(entries, 'the baseline'),
    '',
    `Measured on ${at.slice(0, 10)}: ${machine.cores} cores, ${machine.memoryGiB} GiB of memory, Node ${machine.node}, workerd ` +
      `${machine.workerd}, load and server on the same machine, 64-byte messages, every message durable before its ack. The ` +
      'baseline is a plain object with one frame, one row and one ack per message, in the same run; the factors are medians.',
    ...(existsSync(inRoot(QUEUES)) ? queues() : []),
  ].join('\n')
}

function queues() {
  const { at, entries } = measured(QUEUES)
  return [
    '',
    tableOf(entries, 'BullMQ'),
    '',
    `Queues, on the same machine on ${at.slice(0, 10)}, in the same run as BullMQ on Redis with an append-only file and \`fsync always\`, since Messkit's ` +
      'answers are durable, too. What is missed, and why: [fewer writes for a job](docs/decisions/0038-fewer-writes-for-a-job.md).',
  ]
}

/** @returns {{ at: string, machine: any, entries: any[] }} */
const measured = (file) => JSON.parse(readFileSync(inRoot(file), 'utf8'))

function tableOf(entries, peer) {
  const rows = entries
    .filter(({ name }) => !HIDDEN.includes(name))
    .map(({ name, value, unit, ratios, target }) => [
      WORDS[name] ?? name,
      `${readable(value)} ${unit}`,
      `${readable(Object.values(ratios)[0])} ×`,
      `${unit === 'ms' ? 'at most' : 'at least'} ${target} ×`,
    ])
  return table(['what was measured', 'Messkit', `against ${peer}`, 'goal'], rows)
}

const readable = (value) =>
  value >= 1_000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))

/**
 * What `node scripts/size.mjs` measures. What stands in the page stays as long as it is about right.
 * @param {string} current
 */
export function sizes(current) {
  const { stdout } = spawnSync(process.execPath, [inRoot('scripts/size.mjs')], { cwd: inRoot(), encoding: 'utf8' })
  const measured = [...stdout.matchAll(/^(\S+)\s+(\d+) of \d+ bytes, goal (\d+)/gm)].map(
    ([, entry, bytes, budget]) => ({
      entry,
      kb: Number(bytes) / 1000,
      budget: Number(budget) / 1000,
    }),
  )
  const stated = [...current.matchAll(/^\| `(\S+)` \| ([\d.]+) kB \| ([\d.]+) kB \|$/gm)]
  const right = measured.every(({ entry, kb, budget }) =>
    stated.some(
      ([, name, size, bound]) =>
        name === entry && Math.abs(Number(size) - kb) <= TOLERANCE_KB && Number(bound) === budget,
    ),
  )
  if (right && stated.length === measured.length) return current
  return table(
    ['import', 'minified and gzipped', 'goal'],
    measured.map(({ entry, kb, budget }) => [`\`${entry}\``, `${kb.toFixed(1)} kB`, `${budget} kB`]),
  )
}
