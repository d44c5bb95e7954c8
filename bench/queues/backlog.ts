// What a backlog costs whoever works: jobs taken and finished from the front of a queue in which a million wait, against one in which a
// thousand do. Both are asked in turns; a rate that sinks with the backlog would show as a ratio.
import { type Payload, payload } from '../harness/contender.ts'
import { median } from '../harness/median.ts'
import type { Entry } from '../harness/report.ts'
import { entryOf } from '../harness/report.ts'
import type { Row } from '../harness/table.ts'
import { connectMesskit } from './messkit.ts'

const LONG = 1_000_000
const SHORT = 1_000
const TURN = 5_000
const MANY = 1_000
const CONCURRENCY = 50

interface Asking {
  readonly server: { readonly url: string; readonly token: string }
  readonly rounds: number
}

/** Seconds that a thousand jobs take with a long backlog, against a short one. */
export async function backlogMillion({ server, rounds }: Asking): Promise<Row & { readonly entry: Entry }> {
  const long = await connectMesskit(server, 'backlog-long')
  const short = await connectMesskit(server, 'backlog-short')
  const fill = async (client: typeof long, jobs: number): Promise<void> => {
    for (let from = 0; from < jobs; from += MANY) {
      const count = Math.min(MANY, jobs - from)
      await client.enqueueMany(Array.from({ length: count }, (_, i): Payload => payload(from + i)))
    }
  }
  await fill(long, LONG)
  await fill(short, SHORT)
  const costs = { long: [] as number[], short: [] as number[] }
  for (let round = 0; round <= rounds; round++) {
    const turn = {
      long: () => take(long),
      // As many again as are taken, so that the backlog stays as short as it is.
      short: async () => {
        await fill(short, TURN)
        return take(short)
      },
    }
    for (const which of round % 2 === 0 ? (['long', 'short'] as const) : (['short', 'long'] as const)) {
      const ms = await turn[which]()
      if (round > 0) costs[which].push((ms * 1_000) / TURN)
    }
  }
  await Promise.all([long.close(), short.close()])
  const question = { name: 'queue-backlog-million', unit: 'ms', better: 'less', target: 1.3 } as const
  const ratios = costs.long.map((ms, round) => ms / (costs.short[round] as number))
  const entry = entryOf(question, { values: costs.long, peer: '1,000 waiting', ratios })
  const asks = `1,000 jobs taken and finished while ${LONG.toLocaleString('en')} wait (median ${median(costs.long).toFixed(0)} ms)`
  return { entry, asks, better: 'less', values: costs.long, peers: costs.short }
}

/** So many jobs from the front; what was at hand beyond them is given back. */
async function take(client: Awaited<ReturnType<typeof connectMesskit>>): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let count = 0
  const startedAt = performance.now()
  const stop = await client.work(CONCURRENCY, () => {
    if (++count === TURN) resolve()
  })
  await promise
  const ms = performance.now() - startedAt
  await stop()
  return ms
}
