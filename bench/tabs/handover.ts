import type { TabQuestion } from './question.ts'

/** How long it takes, from where the leading tab begins to close its client, until another tab leads. */
export const handover: TabQuestion = {
  name: 'tab-handover',
  asks: 'the leading tab closes, another one leads',
  unit: 'ms',
  better: 'less',
  target: 1,
  peer: '100 ms',
  async round({ leader, follower }, round) {
    const name = `handover-${round}`
    await leader.evaluate((name) => bench.join(name), name)
    await follower.evaluate((name) => bench.join(name), name)
    const led = follower.evaluate((name) => bench.ledAt(name), name)
    const left = await leader.evaluate((name) => bench.leave(name), name)
    return { '': { messkit: (await led) - left, peer: 100 } }
  },
}
