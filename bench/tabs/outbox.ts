import type { Page } from 'playwright-core'
import { median } from '../harness/median.ts'
import { inTurns, type Pair, type TabQuestion } from './question.ts'

const MESSAGES = 10_000
const IN_ONE_GO = 100

/** What a page pays before it can tell its user that a message is safe. */
export const stored1: TabQuestion = {
  name: 'stored-1',
  asks: 'publish to stored, one in flight, p50',
  unit: 'ms',
  better: 'less',
  target: 2.2,
  peer: 'write',
  async round({ leader, follower }, round) {
    const measure = async (page: Page): Promise<Pair> => {
      const { stored, writes } = await page.evaluate((name) => bench.store(name, 14), `stored-1/${round}`)
      return { messkit: median(stored), peer: median(writes) }
    }
    return { 'in the leader': await measure(leader), 'in a follower': await measure(follower) }
  },
}

/** How fast a page that was offline gets rid of what it has stored, against what the same page publishes online. */
export const outboxDrain: TabQuestion = {
  name: 'outbox-drain',
  asks: '10,000 messages stored offline, until acked',
  unit: 'acked/s',
  better: 'more',
  target: 0.5,
  peer: 'online',
  async round({ remote, context, server }, round) {
    const { drained, online } = await inTurns(
      {
        async drained(name) {
          await context.setOffline(true)
          const options = { server, name, messages: MESSAGES, inOneGo: IN_ONE_GO }
          await remote.evaluate((o) => bench.publishOffline(o.server, o.name, o.messages, o.inOneGo), options)
          await context.setOffline(false)
          return remote.evaluate(() => bench.drained())
        },
        online: (name) =>
          remote.evaluate((o) => bench.publishOnline(o.server, o.name, o.messages), {
            server,
            name,
            messages: MESSAGES,
          }),
      },
      { turns: 1, round, name: 'outbox-drain' },
    )
    return { '': { messkit: drained, peer: online } }
  },
}
