import { beforeEach, describe, expect, it } from 'vitest'
import { EPOCH, LogBench } from '../../../../test/support/log-bench.ts'
import { makeCursor } from '../protocol/cursor.ts'
import type { PublishResult } from '../protocol/frames/publish.ts'
import { LIMITS } from '../protocol/limits.ts'
import { MemoryStore } from '../store/memory.ts'
import { StoreConflict, StoreFull } from '../store/store.ts'
import { ALL_RIGHTS } from './machine.ts'

const ANA = 1
const BOB = 2
const P = 'publisher_1'
const Q = 'publisher_2'
const SECOND_MS = 1_000

let bench: LogBench
beforeEach(() => {
  bench = new LogBench()
  bench.open(ANA)
  bench.open(BOB)
})

const fates = (id: number) => (bench.result(id) as PublishResult | undefined)?.fates
const names = () => bench.effects.map(({ name }) => name)

describe('committing', () => {
  it('starts at once when nothing is undurable', () => {
    bench.held = true

    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    expect(bench.inFlight).toMatchObject({ expect: { head: 0, term: 0 }, append: [{ first: 0, next: 1, body: '"a"' }] })
  })

  it('tells nobody anything before it is durable', () => {
    bench.ask(BOB, 'subscribe', { subscription: 1, from: 'start', window: 1_000 })
    bench.held = true

    const id = bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    expect(fates(id)).toBeUndefined()
    expect(bench.notes(BOB)).toEqual([])
  })

  it('has one commit in flight and makes one of all that comes meanwhile', () => {
    bench.held = true
    const ids = [0, 1, 2, 3].map((i) => bench.publish(ANA, { publisher: P, after: i, first: i + 1 }, [i]))

    bench.settle()
    const second = bench.inFlight
    bench.settle()

    expect(second?.append).toEqual([])
    expect(second?.replaceTail).toMatchObject({ first: 0, next: 4, body: '0,\n1,\n2,\n3' })
    expect(ids.map((id) => fates(id)?.[0]?.offset)).toEqual([0, 1, 2, 3])
    expect(bench.of('commit')).toHaveLength(2)
  })

  it('has effects for each commit and each link, not for each message', () => {
    bench.ask(BOB, 'subscribe', { subscription: 1, from: 'start', window: 100_000 })
    bench.effects.length = 0

    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, Array(500).fill('x'))

    // The delivery and the ack.
    expect(names().toSorted()).toEqual(['commit', 'send', 'send'])
  })

  it('delivers on a link before it acks there', () => {
    bench.ask(ANA, 'subscribe', { subscription: 1, from: 'now', window: 1_000 })
    bench.effects.length = 0

    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    expect(bench.sent.map(({ frame }) => frame.method ?? 'answer')).toEqual(['deliver', 'answer'])
  })

  it('lets a repeat of something undurable wait for it', () => {
    bench.held = true
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    const repeat = bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])
    const before = fates(repeat)
    bench.settle()

    expect(before).toBeUndefined()
    expect(fates(repeat)).toEqual([{ fate: 'duplicate', first: 1, count: 1, offset: 0 }])
    expect(bench.inFlight).toBeUndefined()
  })

  it('tells the links of a failed commit, and takes nothing any more', () => {
    bench.held = true
    const id = bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])
    bench.effects.length = 0

    bench.tell({ name: 'commit-failed', commit: 1, error: new Error('disk') })
    bench.tell({ name: 'durable', commit: 1 })
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    expect(names()).toEqual(['send', 'close', 'send', 'close', 'failed'])
    expect(bench.of('close')).toMatchObject([{ link: ANA, code: 4008, reason: 'commit_failed' }, { link: BOB }])
    expect(fates(id)).toBeUndefined()
  })

  it.each([
    ['has no room', new StoreFull('full'), { code: 4007, reason: 'store_full' }],
    ['has another writer', new StoreConflict('head'), { code: 4008, reason: 'commit_failed' }],
  ])('says why when the store %s', (_what, error, close) => {
    bench.held = true
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    bench.tell({ name: 'commit-failed', commit: 1, error })

    expect(bench.of('close')).toMatchObject([close, close])
    expect(bench.notes(ANA, 'goodbye')).toMatchObject([{ params: { code: close.reason } }])
  })

  it('gives up when the store cannot be read', () => {
    bench.tell({ name: 'read-failed', reader: 1, error: new Error('disk') })

    expect(names()).toEqual(['send', 'close', 'send', 'close', 'failed'])
  })
})

describe('what waits for a commit', () => {
  const LARGE = 'x'.repeat(LIMITS.messageBytes - 2)

  function fill(publisher: string, frames: number, keys?: string[]): number[] {
    return Array.from({ length: frames }, (_, i) =>
      keys
        ? bench.publish(
            ANA,
            { publisher, after: i * keys.length, first: i * keys.length + 1, keys },
            keys.map(() => 1),
          )
        : bench.publish(ANA, { publisher, after: i, first: i + 1 }, [LARGE]),
    )
  }

  it('is bounded with what is in flight', () => {
    bench.held = true

    const ids = fill(P, 40)

    const busy = ids.filter((id) => bench.code(id) === 'busy').length
    const taken = 40 - ids.filter((id) => bench.answer(id)).length
    expect(busy).toBeGreaterThan(0)
    expect(taken * LIMITS.messageBytes).toBeLessThanOrEqual(LIMITS.undurableBytes)
    expect(taken * LIMITS.messageBytes).toBeGreaterThan(LIMITS.undurableBytes / 2)
    expect(bench.answer(ids.find((id) => bench.code(id) === 'busy') as number)).toMatchObject({
      error: { data: { retryable: true, retryAfterMs: 100 } },
    })
  })

  it('is bounded by its keys, too', () => {
    const keys = Array.from({ length: 1_000 }, (_, i) => `${i}`.padEnd(LIMITS.keyBytes, 'k'))
    bench.held = true

    const ids = fill(P, 60, keys)

    const taken = ids.filter((id) => !bench.answer(id)).length
    expect(taken * 1_000 * LIMITS.keyBytes).toBeLessThanOrEqual(LIMITS.undurableBytes)
    expect(ids.map((id) => bench.code(id))).toContain('busy')
  })

  it('is bounded by the answers that are owed, so that repeats cannot fill the memory', () => {
    for (let i = 0; i < 1_000; i++) {
      bench.publish(ANA, { publisher: P, after: i, first: i + 1 }, [0])
      bench.publish(ANA, { publisher: Q, after: i, first: i + 1 }, [0])
    }
    bench.held = true
    bench.publish(ANA, { publisher: Q, after: 1_000, first: 1_001 }, [0])

    const ids = Array.from({ length: 200 }, () =>
      bench.publish(ANA, { publisher: P, after: 0, first: 1 }, Array(1_000).fill(0)),
    )
    bench.settle()

    const codes = ids.map((id) => bench.code(id))
    expect(codes[0]).toBeUndefined()
    expect(codes.at(-1)).toBe('busy')
  })

  it('is not all that will ever be taken: what was busy goes through once there is room', () => {
    bench.held = true
    const ids = fill(P, 40)
    const busy = ids.findIndex((id) => bench.code(id) === 'busy')

    while (bench.inFlight) bench.settle()
    const again = bench.publish(ANA, { publisher: P, after: busy, first: busy + 1 }, [LARGE])
    bench.settle()

    expect(fates(again)).toEqual([{ fate: 'stored', first: busy + 1, count: 1, offset: busy }])
  })

  it('takes a frame of any size when nothing waits', () => {
    const id = bench.publish(ANA, { publisher: P, after: 0, first: 1 }, [LARGE, LARGE, LARGE])

    expect(fates(id)).toEqual([{ fate: 'stored', first: 1, count: 3, offset: 0 }])
  })
})

describe('a refusal', () => {
  it('takes no number, and what stands behind it is not looked at', () => {
    const id = bench.publish(ANA, { publisher: P, after: 0, first: 1 }, [
      'a',
      'x'.repeat(LIMITS.messageBytes),
      'c',
      'd',
    ])

    expect(fates(id)).toMatchObject([
      { fate: 'stored', first: 1, count: 1, offset: 0 },
      { fate: 'refused', first: 2, count: 1, code: 'message_too_large' },
      { fate: 'unsent', first: 3, count: 2 },
    ])
    expect(fates(bench.publish(ANA, { publisher: P, after: 1, first: 3 }, ['c', 'd']))).toMatchObject([
      { fate: 'stored', offset: 1 },
    ])
  })

  it('of a whole frame is answered at once and stores nothing', () => {
    const id = bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['x'.repeat(LIMITS.messageBytes)])

    expect(fates(id)).toMatchObject([{ fate: 'refused', first: 1, count: 1 }])
    expect(bench.of('commit')).toEqual([])
  })

  it('does not hit a message that is only sent beside a repeat which would be refused today', () => {
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a', 'b'])

    const id = bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['x'.repeat(LIMITS.messageBytes), 'b', 'c'])

    expect(fates(id)).toEqual([
      { fate: 'duplicate', first: 1, count: 2, offset: 0 },
      { fate: 'unsent', first: 3, count: 1 },
    ])
  })
})

describe('retention', () => {
  /** One row each. */
  function rows(count: number, size = LIMITS.tailBytes): void {
    for (let i = 0; i < count; i++) bench.publish(ANA, { publisher: P, after: i, first: i + 1 }, ['x'.repeat(size)])
  }

  function keep(retention: object, store = new MemoryStore()): void {
    bench = new LogBench({ retention, store })
    bench.open(ANA)
  }

  it('trims only together with a checkpoint', () => {
    keep({ messages: 10 })

    rows(LIMITS.trimSegments + 20)

    const trims = bench.of('commit').filter(({ write }) => write.trimBelow !== undefined || write.checkpoint)
    expect(trims.length).toBeGreaterThan(0)
    for (const { write } of trims)
      expect(write).toMatchObject({ trimBelow: expect.any(Number), checkpoint: expect.any(Array) })
    expect(bench.store.read(0, 1e9)[0]?.first).toBeGreaterThan(0)
  })

  it('is applied to what is read at once, and to what is stored later', () => {
    keep({ messages: 3 })

    rows(10)

    expect(bench.result(bench.ask(ANA, 'history', { limit: 100 }))).toMatchObject({ first: 7, next: 10 })
    expect(bench.store.read(0, 1e9)).toHaveLength(10)
  })

  it('never names a position that is not durable', () => {
    keep({ messages: 1 })
    rows(3)
    bench.held = true
    bench.publish(ANA, { publisher: P, after: 3, first: 4 }, Array(4).fill('x'.repeat(200_000)))

    const start = bench.ask(ANA, 'subscribe', { subscription: 1, from: 'start', window: 10 })
    const last = bench.ask(ANA, 'subscribe', { subscription: 2, from: { last: 1 }, window: 10 })

    expect(bench.inFlight?.append.length).toBeGreaterThan(1)
    expect([bench.result(start), bench.result(last)]).toMatchObject([
      { cursor: makeCursor(EPOCH, 3) },
      { cursor: makeCursor(EPOCH, 3) },
    ])
  })

  it('makes no row longer that it has deleted', () => {
    keep({ ageMs: 5 * SECOND_MS })
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['old'])
    const later = bench.nowMs + 6 * SECOND_MS
    // A log that wakes does not know when it meant to sweep, and does so with the first alarm.
    keep({ ageMs: 5 * SECOND_MS }, bench.store)
    bench.nowMs = later
    bench.tell({ name: 'due' })

    bench.publish(ANA, { publisher: P, after: 1, first: 2 }, ['new'])

    expect(bench.of('commit').at(-1)?.write).toMatchObject({ append: [{ first: 1, next: 2, body: '"new"' }] })
    expect(bench.store.read(0, 1e9)).toMatchObject([{ first: 1, next: 2 }])
  })

  it('pays for no rows when an alarm for something else rings', () => {
    keep({ ageMs: 5 * SECOND_MS })
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['old'])
    const commits = bench.of('commit').length
    bench.nowMs += 6 * SECOND_MS

    bench.tell({ name: 'due' })

    expect(bench.of('commit')).toHaveLength(commits)
  })

  it('asks to be woken when the oldest is too old, at most hourly', () => {
    keep({ ageMs: 5 * SECOND_MS })
    const before = bench.nowMs

    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])
    bench.nowMs = before + LIMITS.sweepMs
    bench.tell({ name: 'due' })

    expect(bench.of('wake-at')).toEqual([{ name: 'wake-at', at: before + LIMITS.sweepMs }])
    expect(bench.store.read(0, 1e9)).toEqual([])
  })

  it('asks again to be woken when another alarm has rung first', () => {
    keep({ ageMs: 5 * SECOND_MS })
    const before = bench.nowMs
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])
    bench.effects.length = 0
    bench.nowMs += SECOND_MS

    bench.tell({ name: 'due' })

    expect(bench.of('wake-at')).toEqual([{ name: 'wake-at', at: before + LIMITS.sweepMs }])
  })

  it('wakes nobody where nothing ages', () => {
    keep({ messages: 5 })

    rows(20)
    bench.tell({ name: 'due' })

    expect(bench.of('wake-at')).toEqual([])
  })

  it('does not trim while a commit is in flight', () => {
    keep({ ageMs: 5 * SECOND_MS })
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'.repeat(LIMITS.tailBytes)])
    bench.held = true
    bench.nowMs += 6 * SECOND_MS
    bench.publish(ANA, { publisher: P, after: 1, first: 2 }, ['b'])

    bench.tell({ name: 'due' })

    expect(bench.of('commit')).toHaveLength(2)
  })

  it('remembers a publisher for as long as one of its messages is kept', () => {
    keep({ messages: 1_000_000 })
    bench.publish(ANA, { publisher: Q, after: 0, first: 1 }, ['kept'])
    bench.nowMs += 2 * LIMITS.publisherIdleMs

    rows(LIMITS.checkpointChunks + 1)
    const repeat = bench.publish(ANA, { publisher: Q, after: 0, first: 1 }, ['kept'])

    expect(bench.of('commit').some(({ write }) => write.checkpoint)).toBe(true)
    expect(fates(repeat)).toEqual([{ fate: 'duplicate', first: 1, count: 1, offset: 0 }])
  })

  it('forgets a publisher that was silent for long once its messages are gone', () => {
    keep({ messages: 1 })
    bench.publish(ANA, { publisher: Q, after: 0, first: 1 }, ['x'.repeat(LIMITS.tailBytes)])
    bench.nowMs += LIMITS.publisherIdleMs + 1

    rows(LIMITS.trimSegments + 2)
    const next = bench.publish(ANA, { publisher: Q, after: 1, first: 2 }, ['more'])

    expect(bench.code(next)).toBe('publisher_expired')
  })

  it('writes a checkpoint when a crowd of publishers has come, so that memory stays bounded', () => {
    const crowd = 2 * LIMITS.publishersPerTopic + 1
    for (let i = 0; i < crowd; i++) bench.publish(ANA, { publisher: `publisher${i}`, after: 0, first: 1 }, [1])

    const marks = bench
      .of('commit')
      .flatMap(({ write }) => write.checkpoint ?? [])
      .filter(([bucket]) => bucket >= 0)
      .flatMap(([, text]) => JSON.parse(text) as unknown[])
    expect(marks).toHaveLength(LIMITS.publishersPerTopic)
  })
})

describe('time', () => {
  it('never runs backwards within a log, also across a restart', () => {
    const store = new MemoryStore()
    bench = new LogBench({ store, nowMs: 2_000_000 })
    bench.open(ANA)
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    bench = new LogBench({ store, nowMs: 1_000_000 })
    bench.open(ANA)
    bench.publish(ANA, { publisher: P, after: 1, first: 2 }, ['b'])

    const times = store.read(0, 1e9).flatMap(({ runs }) => (JSON.parse(`[${runs}]`) as number[][]).map((run) => run[3]))
    expect(times).toEqual([2_000_000, 2_000_000])
  })
})

describe('history', () => {
  beforeEach(() => {
    for (let i = 0; i < 10; i++) bench.publish(ANA, { publisher: P, after: i, first: i + 1 }, [i])
  })

  it('is no way to fill a socket that nobody reads', () => {
    bench.publish(ANA, { publisher: P, after: 10, first: 11 }, ['x'.repeat(LIMITS.messageBytes - 2)])
    const ask = () => bench.code(bench.ask(ANA, 'history', { limit: 1, reverse: true }))
    const answers = Array.from({ length: 2 * (LIMITS.historyBytes / LIMITS.messageBytes) }, ask)

    expect(answers.filter((code) => code === undefined).length).toBeLessThanOrEqual(
      LIMITS.historyBytes / LIMITS.messageBytes,
    )
    expect(answers.at(-1)).toBe('busy')

    bench.nowMs += 1_000
    expect(ask()).toBeUndefined()
  })

  const page = (params: object) => bench.result(bench.ask(ANA, 'history', { limit: 100, ...params }))
  const at = (offset: number, epoch = EPOCH) => makeCursor(epoch, offset)

  it.each<[string, object, object]>([
    ['forwards from the start', {}, { first: 0, next: 10, more: false }],
    ['backwards from the end', { reverse: true }, { first: 0, next: 10, more: false }],
    ['one message forwards', { limit: 1 }, { first: 0, next: 1, more: true, messages: [0] }],
    ['one message backwards', { limit: 1, reverse: true }, { first: 9, next: 10, more: true, messages: [9] }],
    ['the last message forwards', { limit: 1, from: at(9) }, { first: 9, next: 10, more: false }],
    ['the first message backwards', { limit: 1, reverse: true, from: at(1) }, { first: 0, next: 1, more: false }],
    ['nothing forwards from the end', { from: at(10) }, { first: 10, next: 10, more: false, messages: [] }],
    [
      'nothing backwards from the start',
      { from: at(0), reverse: true },
      { first: 0, next: 0, more: false, messages: [] },
    ],
    ['in the middle forwards', { from: at(4), limit: 3 }, { first: 4, next: 7, more: true, messages: [4, 5, 6] }],
    [
      'in the middle backwards, in log order',
      { from: at(4), limit: 3, reverse: true },
      { first: 1, next: 4, more: true, messages: [1, 2, 3] },
    ],
    [
      'beyond the end',
      { from: at(12) },
      { first: 10, next: 10, more: false, gap: { from: 12, to: 10, reason: 'rewound' } },
    ],
    [
      'backwards from beyond the end',
      { from: at(12), reverse: true, limit: 2 },
      { first: 8, next: 10, gap: { from: 12, to: 10, reason: 'rewound' } },
    ],
    [
      'in another epoch',
      { from: at(7, '0000000000000000') },
      { first: 0, next: 10, gap: { from: 7, to: 0, reason: 'epoch' } },
    ],
    [
      'backwards in another epoch',
      { from: at(7, '0000000000000000'), reverse: true, limit: 2 },
      { first: 8, next: 10, gap: { from: 7, to: 0, reason: 'epoch' } },
    ],
  ])('gives %s', (_what, params, wanted) => {
    expect(page(params)).toMatchObject({ epoch: EPOCH, ...wanted })
  })

  it('says no gap where there is none', () => {
    expect(page({ from: at(3) })).not.toHaveProperty('gap')
  })

  it('says what was trimmed while the page was read', () => {
    const store = new MemoryStore()
    bench = new LogBench({ retention: { ageMs: 5 * SECOND_MS }, store })
    bench.open(ANA)
    for (let i = 0; i < 4; i++) {
      bench.publish(ANA, { publisher: P, after: i, first: i + 1 }, ['x'.repeat(LIMITS.tailBytes)])
      bench.nowMs += SECOND_MS
    }
    const read = bench.log.step(
      { name: 'frame', link: ANA, frame: { method: 'history', id: 77, params: { topic: 'chat', limit: 100 } } },
      bench.nowMs,
    )
    const [{ reader } = { reader: 0 }] = read.filter((effect) => effect.name === 'read')

    bench.nowMs += 3 * SECOND_MS
    bench.tell({ name: 'chunks-read', reader, chunks: store.read(0, 1e9) })

    expect(bench.result(77)).toMatchObject({
      first: 2,
      next: 4,
      more: false,
      gap: { from: 0, to: 2, reason: 'retention' },
    })
  })

  it('leads on where all of the page was trimmed while it was read', () => {
    bench = new LogBench({ retention: { messages: 1 } })
    bench.open(ANA)
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['x'.repeat(LIMITS.tailBytes)])
    const stale = bench.store.read(0, 1e9)
    const read = bench.log.step(
      { name: 'frame', link: ANA, frame: { method: 'history', id: 77, params: { topic: 'chat', limit: 100 } } },
      bench.nowMs,
    )
    const [{ reader } = { reader: 0 }] = read.filter((effect) => effect.name === 'read')

    bench.publish(ANA, { publisher: P, after: 1, first: 2 }, ['y'.repeat(LIMITS.tailBytes)])
    bench.tell({ name: 'chunks-read', reader, chunks: stale })

    expect(bench.result(77)).toMatchObject({
      first: 1,
      next: 1,
      more: true,
      messages: [],
      gap: { from: 0, to: 1, reason: 'retention' },
    })
  })

  it('has so many pages of one link to read and no more', () => {
    const asks = Array.from({ length: LIMITS.readsPerLink + 1 }, (_, id) =>
      bench.log.step(
        { name: 'frame', link: ANA, frame: { method: 'history', id, params: { topic: 'chat', limit: 1 } } },
        0,
      ),
    )

    expect(asks.slice(0, -1).every(([effect]) => effect?.name === 'read')).toBe(true)
    expect(asks.at(-1)).toMatchObject([{ name: 'send', text: expect.stringContaining('"busy"') }])
  })
})

describe('subscriptions that are given up', () => {
  const LARGE = 'x'.repeat(LIMITS.messageBytes - 2)
  const window = LIMITS.creditBytes
  let subscription = 0

  beforeEach(() => {
    for (let i = 0; i < 6; i++) bench.publish(BOB, { publisher: P, after: i, first: i + 1 }, [LARGE])
  })

  const subscribe = (from: unknown) =>
    bench.code(bench.ask(ANA, 'subscribe', { subscription: ++subscription, from, window }))
  const leave = () => bench.ask(ANA, 'unsubscribe', { subscription })
  const sent = () =>
    bench.effects
      .filter((effect) => effect.name === 'send' && effect.text.includes('"deliver"'))
      .reduce((sum, effect) => sum + (effect.name === 'send' ? effect.text.length : 0), 0)

  it('are no way to fill a socket that nobody reads', () => {
    const codes = Array.from({ length: 50 }, () => {
      const code = subscribe('start')
      if (code === undefined) leave()
      return code
    })

    expect(codes[0]).toBeUndefined()
    expect(codes.at(-1)).toBe('busy')
    expect(sent()).toBeLessThan(LIMITS.abandonedBytes + LIMITS.creditBytes + LIMITS.pageBytes + LIMITS.messageBytes)

    bench.nowMs += 2_000
    expect(subscribe('start')).toBeUndefined()
  })

  it('cost nothing where all was handled', () => {
    const codes = Array.from({ length: 50 }, () => {
      const code = subscribe('start')
      for (let i = 0; i < 3; i++) {
        const [newest] = bench.notes(ANA, 'deliver').slice(-1) as [{ params: { through: number } }]
        bench.notify(ANA, 'credit', { subscription, through: newest.params.through + window })
      }
      leave()
      return code
    })

    expect(codes.filter((code) => code !== undefined)).toEqual([])
  })

  it('cost nothing where nothing was sent', () => {
    const codes = Array.from({ length: 50 }, () => {
      const code = subscribe('now')
      leave()
      return code
    })

    expect(codes.filter((code) => code !== undefined)).toEqual([])
  })

  it('cost what they were sent live', () => {
    const codes = Array.from({ length: 20 }, (_, i) => {
      const code = subscribe('now')
      for (const next of [1, 2]) {
        const first = 6 + 2 * i + next
        bench.publish(BOB, { publisher: P, after: first - 1, first }, [LARGE])
      }
      if (code === undefined) leave()
      return code
    })

    expect(codes.indexOf('busy')).toBeGreaterThanOrEqual(LIMITS.abandonedBytes / (2 * LIMITS.messageBytes))
    expect(codes.at(-1)).toBe('busy')
  })
})

describe('links', () => {
  it('answers a notification with no number, which another request could have', () => {
    bench.tell({
      name: 'frame',
      link: ANA,
      frame: { method: 'credit', id: 0, params: { topic: 'other', subscription: 1, through: 1 } },
    })

    expect(bench.sent).toMatchObject([{ frame: { id: null, error: { data: { code: 'wrong_topic' } } } }])
  })

  it('ends one whose token has expired while it was out of memory, before it is served', () => {
    bench.publish(BOB, { publisher: P, after: 0, first: 1 }, ['a'])
    bench.effects.length = 0
    const behind = { id: 1, next: 0, live: false, credit: { through: 1_000 } }

    bench.tell({
      name: 'opened',
      link: 3,
      state: {
        identity: { key: 'ana', rights: ALL_RIGHTS, expiresAt: bench.nowMs },
        greeted: true,
        subscriptions: [behind],
      },
    })
    bench.publish(BOB, { publisher: P, after: 1, first: 2 }, ['b'])

    expect(bench.notes(3)).toMatchObject([{ method: 'goodbye', params: { code: 'token_expired' } }])
    expect(bench.of('close')).toMatchObject([{ link: 3, code: 4401 }])
  })

  it('is left alone by answers to a link that is gone', () => {
    bench.held = true
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    bench.tell({ name: 'closed', link: ANA })
    bench.settle()
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, ['a'])

    expect(bench.of('commit')).toHaveLength(1)
  })

  it('counts frames that it did not understand, and ends a link that sends too many', () => {
    for (let i = 0; i <= LIMITS.faultsPerLink; i++)
      bench.tell({ name: 'frame', link: ANA, frame: { id: null, fault: { code: 'bad_json', message: '' } } })

    expect(bench.of('close')).toMatchObject([{ link: ANA, code: 4504 }])
    expect(bench.sent.filter(({ frame }) => frame.error)).toHaveLength(LIMITS.faultsPerLink)
  })

  it('ends a link at once for a frame that is too large', () => {
    bench.tell({ name: 'frame', link: ANA, frame: { id: null, fault: { code: 'frame_too_large', message: '' } } })

    expect(bench.of('close')).toMatchObject([{ link: ANA, code: 4513 }])
  })

  it('bounds the subscriptions of a link, and knows their numbers', () => {
    const subscribe = (subscription: number) => bench.ask(ANA, 'subscribe', { subscription, from: 'now', window: 1 })

    const ids = Array.from({ length: LIMITS.subscriptionsPerLink + 1 }, (_, i) => subscribe(i + 1))
    const twice = subscribe(1)
    const unknown = bench.ask(ANA, 'unsubscribe', { subscription: 999 })

    expect([bench.code(ids.at(-1) as number), bench.code(twice), bench.code(unknown)]).toEqual([
      'too_many_subscriptions',
      'subscription_exists',
      'unknown_subscription',
    ])
  })

  it('writes down where a link stands in the step in which it changes', () => {
    bench.publish(ANA, { publisher: P, after: 0, first: 1 }, Array(5).fill('x'.repeat(200_000)))
    bench.effects.length = 0

    bench.ask(BOB, 'subscribe', { subscription: 1, from: 'start', window: 1 })
    const afterPage = bench.of('remember').at(-1)?.state.subscriptions
    bench.notify(BOB, 'credit', { subscription: 1, through: 700_000 })

    expect(afterPage).toEqual([{ id: 1, next: 3, live: false, credit: { through: 1 }, at: expect.any(Number) }])
    expect(bench.of('remember').at(-1)?.state.subscriptions).toMatchObject([
      { id: 1, next: 5, live: true, credit: { through: 700_000 } },
    ])
  })
})
