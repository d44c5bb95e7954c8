import type { Page } from 'playwright-core'
import { median } from '../harness/median.ts'
import type { Pair, TabQuestion } from './question.ts'
import type { Stage } from './stage.ts'

/** How long a message takes from one tab to another where nothing is kept: what the way through the leading tab costs. */
export const latencySession: TabQuestion = {
  name: 'tab-latency-session',
  asks: 'tab to tab, nothing kept, p50',
  unit: 'ms',
  better: 'less',
  target: 3,
  peer: 'post',
  round: (stage, round) =>
    betweenTabs(stage, async (from, to) => {
      const name = topicOf('session', round)
      await to.evaluate((name) => bench.answerPings(['session', 'posts'], name), name)
      const { session, posts } = await from.evaluate((name) => bench.pingSession(name, 16), name)
      return { messkit: median(session), peer: median(posts) }
    }),
}

/** The same where the message is on the disk twice: in the outbox of the tab that published it, and in the topic's log. */
export const latencyDurable: TabQuestion = {
  name: 'tab-latency-durable',
  asks: 'tab to tab, durable, p50',
  unit: 'ms',
  better: 'less',
  target: 1.5,
  peer: '2 posts + 2 writes',
  round: (stage, round) =>
    betweenTabs(stage, async (from, to) => {
      const name = topicOf('durable', round)
      await to.evaluate((name) => bench.answerPings(['durable', 'posts'], name), name)
      const { durable, posts, writes } = await from.evaluate((name) => bench.pingDurable(name, 14), name)
      return { messkit: median(durable), peer: 2 * median(posts) + 2 * median(writes) }
    }),
}

let topics = 0
const topicOf = (way: string, round: number): string => `latency/${way}/${round}-${++topics}`

async function betweenTabs(
  { leader, follower, other }: Stage,
  measure: (from: Page, to: Page) => Promise<Pair>,
): Promise<Record<string, Pair>> {
  return { 'leader and follower': await measure(leader, follower), 'two followers': await measure(follower, other) }
}
