import { inTurns, type TabQuestion } from './question.ts'

const TOPICS = 32

/** How long a page takes until all that it shows is live. */
export const topics32: TabQuestion = {
  name: 'topics-32',
  asks: `${TOPICS} topics of a server live on one page`,
  unit: 'ms',
  better: 'less',
  target: 1.2,
  peer: 'sockets',
  async round({ remote, server }, round) {
    const namesOf = (name: string) => Array.from({ length: TOPICS }, (_, i) => `${name}/${i}`)
    const { topics, sockets } = await inTurns(
      {
        topics: (name) =>
          remote.evaluate((o) => bench.subscribeAll(o.server, o.names), { server, names: namesOf(name) }),
        sockets: (name) => remote.evaluate((o) => bench.openAll(o.server, o.names), { server, names: namesOf(name) }),
      },
      { turns: 1, round, name: 'topics-32' },
    )
    return { '': { messkit: topics, peer: sockets } }
  },
}
