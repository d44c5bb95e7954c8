import { describe, expect, it } from 'vitest'
import type { JobRow, Place, QueueCommit, QueueStore } from './queue-store.ts'
import { type Maybe, StoreConflict } from './store.ts'

/** What a test needs to know of a kind of store of queues. The behaviour suite of queues takes the same. */
export interface QueueStores {
  /** The store of a new, empty queue. */
  make(): Maybe<QueueStore>
  /** Another store over the same queue, as after a restart. The first one may still be in use. */
  reopen(store: QueueStore): Maybe<QueueStore>
  /** Runs each test where stores live, for instance inside a Durable Object. */
  within?(test: () => Promise<void>): Promise<void>
}

const EPOCH = '0mi8zq4k0abcdefg'
const ALL = { maxJobs: 1e9, maxBytes: 1e9 }
const NOTHING: QueueCommit = { put: [], move: [], remove: [], facts: [] }

const row = (lane: number, due: number, id: number, body = `"${id}"`): JobRow => ({
  lane,
  due,
  id,
  head: `[${id}]`,
  body,
})
const placeOf = ({ lane, due, id }: JobRow): Place => ({ lane, due, id })
const idsOf = (rows: readonly JobRow[]): number[] => rows.map(({ id }) => id)

/** The contract of `QueueStore`: what a queue relies on, whatever keeps the rows. */
export function queueStoreSuite(name: string, { make, reopen, within = (test) => test() }: QueueStores): void {
  const promise = (sentence: string, test: (store: QueueStore) => Promise<void>) =>
    it(sentence, () =>
      within(async () => {
        const store = await make()
        await store.load(EPOCH)
        await test(store)
      }),
    )

  describe(`${name}: a store of a queue`, () => {
    promise('is empty when it is new, and keeps the name it was given first', async (store) => {
      await store.durable()

      expect(await (await reopen(store)).load('other')).toEqual({ epoch: EPOCH, facts: [] })
      expect(await store.page(5, undefined, ALL)).toEqual([])
      expect(await store.count(0, [5], 9)).toEqual([{ lane: 5, due: 0 }])
    })

    promise('gives back every field as it was, also after a restart', async (store) => {
      const rows = [row(5, 0, 1), row(5, 0, 2, '{"text":"€ 😀"}')]
      await store.commit({ ...NOTHING, put: rows, facts: [['state', '{"a":1}']] })
      await store.durable()

      const again = await reopen(store)

      expect(await again.load('')).toEqual({ epoch: EPOCH, facts: [['state', '{"a":1}']] })
      expect(await again.page(5, undefined, ALL)).toEqual(rows)
    })

    promise('has jobs in the order of their places, whatever order they came in', async (store) => {
      const put = [row(15, 300, 1), row(15, 100, 4), row(5, 0, 2), row(15, 100, 3), row(15, 200, 5)]

      await store.commit({ ...NOTHING, put })

      expect(idsOf(await store.page(15, undefined, ALL))).toEqual([3, 4, 5, 1])
      expect(idsOf(await store.page(15, { due: 100, id: 3 }, ALL))).toEqual([4, 5, 1])
      expect(idsOf(await store.page(15, { due: 250, id: 0 }, ALL))).toEqual([1])
      expect(idsOf(await store.page(5, undefined, ALL))).toEqual([2])
    })

    promise('puts a job that comes late where it belongs', async (store) => {
      await store.commit({ ...NOTHING, put: [row(5, 0, 2), row(5, 0, 3)] })
      await store.page(5, undefined, ALL)

      await store.commit({ ...NOTHING, put: [row(5, 0, 1)] })

      expect(idsOf(await store.page(5, undefined, ALL))).toEqual([1, 2, 3])
    })

    promise('gives pages within their bounds, and one job that does not fit by itself', async (store) => {
      const body = JSON.stringify('x'.repeat(98))
      await store.commit({ ...NOTHING, put: [1, 2, 3, 4].map((id) => row(5, 0, id, body)) })
      const page = async (maxJobs: number, maxBytes: number) =>
        (await store.page(5, undefined, { maxJobs, maxBytes })).length

      expect([await page(9, 0), await page(9, 199), await page(9, 200), await page(3, 1e9)]).toEqual([1, 1, 2, 3])
    })

    promise('measures pages in characters, as whoever reads them does', async (store) => {
      const body = JSON.stringify('€'.repeat(98))
      await store.commit({ ...NOTHING, put: [1, 2, 3].map((id) => row(5, 0, id, body)) })

      expect(await store.page(5, undefined, { maxJobs: 9, maxBytes: 200 })).toHaveLength(2)
    })

    promise('moves a job, and leaves its payload as it is', async (store) => {
      await store.commit({ ...NOTHING, put: [row(5, 0, 1), row(5, 0, 2)] })

      await store.commit({
        ...NOTHING,
        move: [{ from: placeOf(row(5, 0, 1)), to: { lane: 25, due: 700, id: 1 }, head: '[1,"again"]' }],
      })

      expect(idsOf(await store.page(5, undefined, ALL))).toEqual([2])
      expect(await store.page(25, undefined, ALL)).toEqual([{ ...row(25, 700, 1), head: '[1,"again"]' }])
    })

    promise('writes a head anew where it stands', async (store) => {
      await store.commit({ ...NOTHING, put: [row(5, 0, 1)] })

      const place = placeOf(row(5, 0, 1))
      await store.commit({ ...NOTHING, move: [{ from: place, to: place, head: '[2]' }] })

      expect(await store.page(5, undefined, ALL)).toEqual([{ ...row(5, 0, 1), head: '[2]' }])
    })

    promise('moves a job and changes its payload in one go', async (store) => {
      await store.commit({ ...NOTHING, put: [row(15, 70, 1), row(5, 0, 2)] })

      const [from, here] = [placeOf(row(15, 70, 1)), placeOf(row(5, 0, 2))]
      await store.commit({
        ...NOTHING,
        move: [
          { from, to: { lane: 15, due: 90, id: 1 }, head: '[1]', body: '"newer"' },
          { from: here, to: here, head: '[2]', body: '"newest"' },
        ],
      })

      expect(await store.page(15, undefined, ALL)).toEqual([row(15, 90, 1, '"newer"')])
      expect(await store.page(5, undefined, ALL)).toEqual([row(5, 0, 2, '"newest"')])
    })

    promise('keeps places whose numbers are as large as there are', async (store) => {
      const large = row(60, 2 ** 52 - 1, 2 ** 53 - 1, '')
      await store.commit({ ...NOTHING, put: [large, row(5, 0, 1)] })

      expect(await store.get([placeOf(large)])).toEqual([large])
      await store.commit({ ...NOTHING, move: [{ from: placeOf(large), to: placeOf(large), head: '[]' }] })
      await store.commit({ ...NOTHING, remove: [placeOf(large)] })

      expect(await store.get([placeOf(large), placeOf(row(5, 0, 1))])).toEqual([row(5, 0, 1)])
    })

    promise('removes jobs and facts', async (store) => {
      await store.commit({ ...NOTHING, put: [row(5, 0, 1), row(5, 0, 2)], facts: [['lease:0', '{}']] })

      await store.commit({ ...NOTHING, remove: [placeOf(row(5, 0, 1))], facts: [['lease:0', null]] })

      expect(idsOf(await store.page(5, undefined, ALL))).toEqual([2])
      expect((await store.load('')).facts).toEqual([])
    })

    promise('removes jobs that came in very many commits, in whatever order', async (store) => {
      const commits = Array.from({ length: 150 }, (_, i) => [1, 2, 3, 4].map((n) => row(5, 0, 4 * i + n)))
      for (const put of commits) await store.commit({ ...NOTHING, put })

      const remove = [0, 1, 2].flatMap((n) => commits.map((jobs) => placeOf(jobs[n] as JobRow)))
      await store.commit({ ...NOTHING, remove })

      const left = commits.map((jobs) => jobs[3] as JobRow)
      expect(await (await reopen(store)).page(5, undefined, ALL)).toEqual(left)
      await store.commit({ ...NOTHING, remove: left.map(placeOf) })
      expect(await (await reopen(store)).page(5, undefined, ALL)).toEqual([])
    })

    promise('does all of a commit or nothing', async (store) => {
      await store.commit({ ...NOTHING, put: [row(5, 0, 1)] })
      const elsewhere = { lane: 5, due: 9, id: 1 }

      for (const wrong of [{ remove: [elsewhere] }, { move: [{ from: elsewhere, to: elsewhere, head: '' }] }]) {
        const commit = { ...NOTHING, put: [row(5, 0, 2)], facts: [['state', '{}']] as const, ...wrong }
        await expect((async () => store.commit(commit))()).rejects.toThrow(StoreConflict)
      }

      expect(idsOf(await store.page(5, undefined, ALL))).toEqual([1])
      expect((await store.load('')).facts).toEqual([])
    })

    promise('finds jobs by place, by id, and those that are newer', async (store) => {
      await store.commit({ ...NOTHING, put: [row(5, 0, 1), row(9, 0, 2), row(15, 70, 3), row(30, 80, 4)] })
      const sorted = (rows: readonly JobRow[]) => idsOf(rows).toSorted()

      expect(sorted(await store.get([row(5, 0, 1), row(5, 0, 2), row(15, 70, 3), row(15, 71, 3)]))).toEqual([1, 3])
      expect(sorted(await store.find([1, 3, 4, 99], 10))).toEqual([1, 3, 4])
      expect(sorted(await store.since(2, 10))).toEqual([2])
      expect(sorted(await store.since(1, 10))).toEqual([1, 2])
    })

    promise('finds more than fits in one question of a database', async (store) => {
      const ids = Array.from({ length: 1_000 }, (_, i) => i + 1)
      await store.commit({ ...NOTHING, put: ids.map((id) => row(id % 7, 0, id)) })

      expect(await store.find(ids, 10)).toHaveLength(1_000)
      expect(await store.get(ids.map((id) => row(id % 7, 0, id)))).toHaveLength(1_000)
    })

    promise('counts the jobs of lanes that are due, as far as it is asked to', async (store) => {
      await store.commit({ ...NOTHING, put: [row(5, 0, 1), row(5, 0, 2), row(15, 70, 3), row(15, 80, 4)] })

      expect(await store.count(70, [5, 15, 16], 10)).toEqual([
        { lane: 5, due: 2 },
        { lane: 15, due: 1 },
        { lane: 16, due: 0 },
      ])
      expect(await store.count(90, [15], 1)).toEqual([{ lane: 15, due: 1 }])
    })

    promise('shows what is read after every commit that was asked for before', async (store) => {
      const committed = store.commit({ ...NOTHING, put: [row(5, 0, 1)] })
      const read = store.page(5, undefined, ALL)
      await committed

      expect(idsOf(await read)).toEqual([1])
    })
  })
}
