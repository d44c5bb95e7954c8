import type { QueueRequest } from '../protocol/queue-requests.ts'
import type { JobRow, QueueCommit, QueueStore } from '../store/queue-store.ts'
import type { Maybe } from '../store/store.ts'
import { after, type Storing } from './driver.ts'
import { Home, type Shell } from './home.ts'
import { LANES, WIDTH } from './job.ts'
import { Queue } from './queue.ts'
import { readMemo, recover } from './queue-facts.ts'
import type { QueueEvent, QueueLinkState, QueueQuery } from './queue-machine.ts'

export interface QueueHomeOptions extends Shell<QueueRequest> {
  readonly queue: string
  readonly heartbeatMs?: number
  readonly store: QueueStore
  /** Names the queue if it is new. */
  readonly newEpoch: () => string
  /** 0 ≤ x < 1 */
  readonly random: () => number
}

/** One queue at home: its jobs, its store and its links. */
export class QueueHome extends Home<QueueLinkState, QueueRequest, QueueCommit, QueueQuery, QueueEvent> {
  constructor(options: QueueHomeOptions) {
    const { queue, heartbeatMs, store, newEpoch, random, now, linger } = options
    super(options, {
      load: () =>
        after(store.load(newEpoch()), (loaded) => {
          const memo = readMemo(loaded)
          return after(store.get(memo.places), (leased) =>
            after(store.since(memo.carried.next, WIDTH), (newer) => {
              const facts = {
                queue,
                salt: random(),
                lingers: linger !== undefined,
                ...(heartbeatMs !== undefined && { heartbeatMs }),
              }
              return new Queue(recover(memo, leased, newer), facts, now())
            }),
          )
        }),
      store: queueStoring(store),
    })
  }
}

type RowQuery = Exclude<QueueQuery, { readonly what: 'count' }>

function rowsOf(store: QueueStore, asked: RowQuery): Maybe<readonly JobRow[]> {
  switch (asked.what) {
    case 'find':
      // Rows of keys lie among those of jobs, at ids that anybody can work out. They are no jobs, and nobody asks for them so.
      return after(store.find(asked.ids, WIDTH), (rows) => rows.filter(({ lane }) => lane < LANES.keys))
    case 'get':
      return store.get(asked.places)
    case 'page':
      return store.page(asked.lane, asked.after, asked.bounds)
  }
}

/** A queue's store as its machine uses it. */
export function queueStoring(store: QueueStore): Storing<QueueCommit, QueueQuery, QueueEvent> {
  return {
    commit: (write) => store.commit(write),
    durable: () => store.durable(),
    read: (asked) => {
      const { reader } = asked
      if (asked.what === 'count')
        return after(
          store.count(asked.nowMs, asked.lanes, asked.most),
          (lanes): QueueEvent => ({ name: 'counted', reader, lanes }),
        )
      return after(rowsOf(store, asked), (found): QueueEvent => ({ name: 'jobs-read', reader, rows: found }))
    },
  }
}
