import fc from 'fast-check'
import { expect, it, vi } from 'vitest'
import { type BenchOptions, LogBench } from '../../../../test/support/log-bench.ts'
import type { PublishResult } from '../protocol/frames/publish.ts'
import { MemoryStore } from '../store/memory.ts'
import { bucketOf, checkpointAt, INDEX_BUCKET, recover } from './checkpoint.ts'

// Small enough that a short history passes every bound several times.
vi.mock('../protocol/limits.ts', async (original) => {
  const actual = await original<typeof import('../protocol/limits.ts')>()
  const small = {
    checkpointChunks: 5,
    checkpointBuckets: 3,
    segmentsPerTopic: 8,
    trimSegments: 2,
    publisherWindow: 6,
    tailBytes: 600,
    rowBytes: 2_000,
    pageBytes: 4_000,
  }
  return { ...actual, LIMITS: { ...actual.LIMITS, ...small } }
})

const LINK = 1
const DAY_MS = 24 * 3_600_000

const retention = fc.record({
  messages: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
  bytes: fc.option(fc.integer({ min: 500, max: 20_000 }), { nil: undefined }),
  ageMs: fc.option(fc.constantFrom(1_000, 50_000, DAY_MS), { nil: undefined }),
})

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      name: fc.constant('publish' as const),
      publisher: fc.nat({ max: 6 }),
      refused: fc.nat({ max: 2 }),
      payloads: fc.array(fc.oneof(fc.constant('x'), fc.constant('x'.repeat(300)), fc.constant('x'.repeat(1_500))), {
        minLength: 1,
        maxLength: 5,
      }),
      keyed: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      name: fc.constant('wait' as const),
      forMs: fc.constantFrom(1, 900, 30_000, 61_000, DAY_MS, 40 * DAY_MS),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ name: 'hold' as const }) },
  { weight: 3, arbitrary: fc.constant({ name: 'settle' as const }) },
  { weight: 1, arbitrary: fc.constant({ name: 'due' as const }) },
)

interface History {
  readonly bench: LogBench
  readonly last: Map<number, number>
}

const publisherOf = (n: number) => `publisher${n}`

function play(
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  options: BenchOptions,
): History {
  const bench = new LogBench(options)
  const last = new Map<number, number>()
  bench.open(LINK)
  for (const step of steps) {
    if (step.name === 'wait') bench.nowMs += step.forMs
    else if (step.name === 'hold') bench.held = true
    else if (step.name === 'due') bench.tell({ name: 'due' })
    else if (step.name === 'settle') settle(bench)
    else {
      const { publisher, refused, payloads, keyed } = step
      const after = last.get(publisher) ?? 0
      const first = after + refused + 1
      const id = bench.publish(
        LINK,
        { publisher: publisherOf(publisher), after, first, ...(keyed && { keys: payloads.map(() => 'k') }) },
        payloads,
      )
      // Whoever is forgotten is told so, and starts anew; that is not what this is about.
      if (bench.code(id) === undefined) last.set(publisher, first + payloads.length - 1)
    }
  }
  settle(bench)
  return { bench, last }
}

function settle(bench: LogBench): void {
  bench.held = false
  while (bench.inFlight) bench.settle()
}

/** The same log loaded from the rows that are stored now, in a store of its own. */
function reload({ store, nowMs }: LogBench, options: BenchOptions): LogBench {
  const { epoch, checkpoint } = store.load('')
  const copy = new MemoryStore()
  copy.load(epoch)
  const chunks = store.read(0, Number.MAX_SAFE_INTEGER)
  copy.commit({ expect: { head: 0, term: 0 }, append: chunks, checkpoint })
  const bench = new LogBench({ ...options, store: copy, nowMs })
  bench.open(LINK)
  return bench
}

/** Everything by which two logs could differ for a client: where it starts, what is remembered of repeats, what comes next. */
function examine({ last }: History, bench: LogBench): unknown {
  const before = bench.effects.length
  bench.ask(LINK, 'subscribe', { subscription: 7, from: 'start', window: 1_000_000 })
  bench.ask(LINK, 'history', { limit: 1_000, reverse: true })
  for (const [publisher, newest] of last) {
    const first = Math.max(1, newest - 9)
    bench.publish(
      LINK,
      { publisher: publisherOf(publisher), after: first - 1, first },
      Array(newest - first + 1).fill('again'),
    )
    bench.publish(LINK, { publisher: publisherOf(publisher), after: newest, first: newest + 1 }, ['next'])
  }
  bench.publish(LINK, { publisher: 'publisher_new', after: 0, first: 1 }, ['hello'])
  return bench.effects.slice(before).flatMap((effect) => {
    if (effect.name === 'send') return [JSON.parse(effect.text.replace(/"id":\d+/, '"id":0'))]
    if (effect.name !== 'commit') return []
    const { expect: expected, replaceTail, append } = effect.write
    return [{ expected, replaceTail, append }]
  })
}

it('loads a log that answers as the one that stayed in memory, whatever has happened to it', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), retention, (steps, retention) => {
      const options = { retention: JSON.parse(JSON.stringify(retention)) }
      const history = play(steps, options)
      const loaded = reload(history.bench, options)

      expect(examine(history, loaded)).toEqual(examine(history, history.bench))
    }),
    { numRuns: 300 },
  )
})

it('never gives an offset twice, also when everything was trimmed and the log was loaded anew between any two steps', () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 60 }),
      fc.constantFrom({ messages: 1 }, { ageMs: 1_000 }, { bytes: 500 }),
      (steps, retention) => {
        let bench = new LogBench({ retention })
        bench.open(LINK)
        let wanted = 0
        let sequence = 0
        for (const step of steps) {
          if (step.name === 'wait') bench.nowMs += step.forMs
          if (step.name === 'due') bench.tell({ name: 'due' })
          if (step.name === 'settle') bench = reload(bench, { retention })
          if (step.name !== 'publish') continue
          // A new publisher each time: this is about offsets alone.
          const id = bench.publish(LINK, { publisher: `publisher_${++sequence}`, after: 0, first: 1 }, step.payloads)
          expect((bench.result(id) as PublishResult).fates).toEqual([
            { fate: 'stored', first: 1, count: step.payloads.length, offset: wanted },
          ])
          wanted += step.payloads.length
        }
      },
    ),
    { numRuns: 150 },
  )
})

it('never deletes a row that the checkpoint does not cover', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), retention, (steps, retention) => {
      const { bench } = play(steps, { retention: JSON.parse(JSON.stringify(retention)) })

      for (const { write } of bench.of('commit')) {
        if (write.trimBelow === undefined) continue
        expect(write.trimBelow).toBeLessThanOrEqual(checkpointAt(write.checkpoint ?? []))
      }
    }),
  )
})

it('reads a bounded number of rows when it is loaded, however long the log is', () => {
  const steps = Array(200).fill({
    name: 'publish',
    publisher: 1,
    refused: 0,
    payloads: ['x'.repeat(1_500)],
    keyed: false,
  })

  const { bench } = play(steps, {})

  expect(bench.store.read(0, Number.MAX_SAFE_INTEGER).length).toBe(200)
  expect(bench.store.load('').heads.length).toBeLessThanOrEqual(5)
})

/** Enough rows for a few checkpoints. */
function publishRows(bench: LogBench, publisher: string, count = 20): void {
  for (let i = 0; i < count; i++) bench.publish(LINK, { publisher, after: i, first: i + 1 }, ['x'.repeat(1_500)])
}

const bucketsWritten = (bench: LogBench) =>
  bench.of('commit').flatMap(({ write }) => (write.checkpoint ? [write.checkpoint.map(([bucket]) => bucket)] : []))

/** One that lies in another bucket than `publisher1`. */
const elsewhere = Array.from({ length: 9 }, (_, i) => publisherOf(i + 2)).find(
  (publisher) => bucketOf(`.${publisher}`) !== bucketOf('.publisher1'),
) as string

it('writes only buckets in which something has changed, and the index', () => {
  const bench = new LogBench()
  bench.open(LINK)

  bench.publish(LINK, { publisher: elsewhere, after: 0, first: 1 }, ['once'])
  publishRows(bench, 'publisher1')

  const [first, ...later] = bucketsWritten(bench)
  expect(first?.toSorted()).toEqual([INDEX_BUCKET, bucketOf('.publisher1'), bucketOf(`.${elsewhere}`)].toSorted())
  expect(later.length).toBeGreaterThan(1)
  expect(later).toEqual(later.map(() => [INDEX_BUCKET, bucketOf('.publisher1')]))
})

it('writes with the first checkpoint after a restart also what has changed before it', () => {
  const store = new MemoryStore()
  const [before, after] = [() => new LogBench({ store }), () => new LogBench({ store, retention: { messages: 1 } })]
  const bench = before()
  bench.open(LINK)
  bench.publish(LINK, { publisher: elsewhere, after: 0, first: 1 }, ['once'])

  const restarted = after()
  restarted.open(LINK)
  publishRows(restarted, 'publisher1')
  const again = after()
  again.open(LINK)
  const id = again.publish(LINK, { publisher: elsewhere, after: 0, first: 1 }, ['once'])

  expect(store.read(0, 1)[0]?.first).toBeGreaterThan(0)
  expect((again.result(id) as PublishResult).fates).toEqual([{ fate: 'duplicate', first: 1, count: 1, offset: 0 }])
})

it('begins an empty log at nothing', () => {
  const empty = { epoch: 'e', checkpoint: [], heads: [], tail: undefined }

  const { head, bytes, at, dirty } = recover(empty, {})

  expect({ head, bytes, at, dirty: dirty.size }).toEqual({ head: 0, bytes: 0, at: 0, dirty: 0 })
  expect(checkpointAt([])).toBe(0)
})

it('spreads publishers over all buckets', () => {
  const counts = new Map<number, number>()
  for (let i = 0; i < 3_000; i++) {
    const bucket = bucketOf(`ana.${i}`)
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
  }

  expect([...counts.keys()].toSorted()).toEqual([0, 1, 2])
  for (const count of counts.values()) expect(count).toBeGreaterThan(500)
})
