import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import { SqliteQueueStore } from '../../packages/edge/src/store/sqlite-queue.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

/** Databases that versions before wrote are read as they were, and go on from there. */
const { TOPICS } = env as unknown as Env
const EPOCH = 'epoch00000000000'
const BREAK = '\u0001'

/** A queue as it lay after two steps of its layout, when jobs that came together were found by their lane and the first of them. */
const BEFORE = `
  create table queue_fact (name text primary key, text text not null) without rowid;
  create table job (
    lane integer not null,
    due integer not null,
    id integer not null,
    head text not null,
    body text not null,
    primary key (lane, due, id)
  ) without rowid;
  create table segment (
    lane integer not null,
    first integer not null,
    last integer not null,
    heads text not null,
    bodies text not null,
    primary key (lane, first)
  ) without rowid;
  create table segment_gone (
    lane integer not null,
    first integer not null,
    count integer not null,
    gone text not null,
    primary key (lane, first)
  ) without rowid`

const idsFrom = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

function putSegment(sql: SqlStorage, lane: number, first: number, gone: string): void {
  const ids = idsFrom(first, gone.length)
  const heads = ids.map((id) => `head ${id}`).join(BREAK)
  const bodies = ids.map((id) => `"${lane} ${id}"`).join(BREAK)
  sql.exec('insert into segment values (?, ?, ?, ?, ?)', lane, first, first + gone.length - 1, heads, bodies)
  const count = gone.replaceAll('0', '').length
  if (count > 0) sql.exec('insert into segment_gone values (?, ?, ?, ?)', lane, first, count, gone)
}

const placeOf = (lane: number, id: number) => ({ lane, due: 0, id })
const PAGE = { maxJobs: 10_000, maxBytes: 1e9 }
const NOTHING = { put: [], move: [], remove: [], facts: [] }

test('jobs that came together, and what is gone of them, are the same ones in the layout of today', async () => {
  const most = `${'0'.repeat(100)}${'1'.repeat(155)}0`
  await runInDurableObject(TOPICS.getByName('topic:main:queue-layout'), async (_, { storage }) => {
    const { sql } = storage
    sql.exec(BEFORE)
    sql.exec('insert into queue_fact values (?, ?)', '_queue', JSON.stringify({ epoch: EPOCH, layout: 2 }))
    sql.exec('insert into queue_fact values (?, ?)', 'state', '{}')
    sql.exec('insert into job values (0, 0, 1, ?, ?)', 'head 1', '"alone"')
    putSegment(sql, 0, 2, '0000')
    putSegment(sql, 0, 10, '0101')
    putSegment(sql, 0, 1_000, most)
    putSegment(sql, 7, 6, '100')
    const store = new SqliteQueueStore(storage)

    expect(store.load('another')).toEqual({ epoch: EPOCH, facts: [['state', '{}']] })

    const there = [...idsFrom(1, 5), 10, 12, ...idsFrom(1_000, 100), 1_255]
    expect(store.page(0, undefined, PAGE).map(({ id }) => id)).toEqual(there)
    expect(store.page(0, placeOf(0, 1_099), PAGE)).toEqual([
      { ...placeOf(0, 1_255), head: 'head 1255', body: '"0 1255"' },
    ])
    expect(store.page(7, undefined, PAGE).map(({ body }) => body)).toEqual(['"7 7"', '"7 8"'])
    expect(store.since(1_099, 8).map(({ id }) => id)).toEqual([1_099, 1_255])
    expect(store.get([placeOf(0, 11), placeOf(0, 12), placeOf(7, 12), placeOf(7, 8)]).map(({ id }) => id)).toEqual([
      12, 8,
    ])
    expect(store.find([4, 6, 7, 1_100, 1_255], 8).map(({ id }) => id)).toEqual(expect.arrayContaining([4, 7, 1_255]))
    expect(store.count(1, [0, 7], 10_000)).toEqual([
      { lane: 0, due: there.length },
      { lane: 7, due: 2 },
    ])

    // What goes now goes out of the same rows, and what was gone cannot go again.
    store.commit({
      ...NOTHING,
      move: [{ from: placeOf(0, 3), to: { lane: 8, due: 5, id: 3 }, head: 'later' }],
      remove: [placeOf(0, 12), placeOf(7, 7), placeOf(7, 8)],
    })
    expect(() => store.commit({ ...NOTHING, remove: [placeOf(0, 11)] })).toThrow()
    store.commit({ ...NOTHING, remove: [placeOf(0, 10)] })

    const again = new SqliteQueueStore(storage)
    expect(again.load('another').epoch).toBe(EPOCH)
    expect(again.page(0, undefined, { ...PAGE, maxJobs: 4 }).map(({ id }) => id)).toEqual([1, 2, 4, 5])
    expect(again.page(7, undefined, PAGE)).toEqual([])
    expect(again.page(8, undefined, PAGE)).toMatchObject([{ id: 3, head: 'later', body: '"0 3"' }])
    expect([...sql.exec('select lane, first from segment order by place').raw()]).toEqual([
      [0, 2],
      [0, 1_000],
    ])
    expect([...sql.exec('select first from segment_gone order by first').raw()]).toEqual([[2], [1_000]])
  })
})
