import type { Page } from 'playwright-core'
import type { Way } from '../page.ts'
import { inTurns, type Pair, type TabQuestion } from './question.ts'

const MESSAGES = { session: 30_000, posts: 5_000 }

/** How many messages a second get from one tab to another, against one post a message. */
export const throughputSession: TabQuestion = {
  name: 'tab-throughput-session',
  asks: 'tab to tab, nothing kept, 2,000 in flight',
  unit: 'messages/s',
  better: 'more',
  target: 4,
  peer: 'posts',
  async round({ leader, follower, other }, round) {
    const measure = async (from: Page, to: Page): Promise<Pair> => {
      const { session, posts } = await inTurns(
        {
          session: (name) => sendAll(from, to, { way: 'session', name, messages: MESSAGES.session }),
          posts: (name) => sendAll(from, to, { way: 'posts', name, messages: MESSAGES.posts }),
        },
        { turns: 1, round, name: 'tab-throughput-session' },
      )
      return { messkit: session, peer: posts }
    }
    return {
      'from the leader': await measure(leader, follower),
      'to the leader': await measure(follower, leader),
      'two followers': await measure(follower, other),
    }
  },
}

async function sendAll(from: Page, to: Page, options: { way: Way; name: string; messages: number }): Promise<number> {
  await to.evaluate(({ way, name, messages }) => bench.count(way, name, messages), options)
  const startedAt = await from.evaluate(({ way, name, messages }) => bench.send(way, name, messages), options)
  const endedAt = await to.evaluate(() => bench.counted())
  return options.messages / ((endedAt - startedAt) / 1000)
}
