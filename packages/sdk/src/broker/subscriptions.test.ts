import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Frame, LINE_BREAK, parseFrame } from '../protocol/codec.ts'
import type { DeliverParams, GapParams } from '../protocol/frames/deliver.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Chunk } from '../store/store.ts'
import type { LogEffect } from './machine.ts'
import { NOBODY } from './machine.ts'
import { type Allowed, authorize } from './rights.ts'
import { Subscriptions } from './subscriptions.ts'

const MAY = authorize(NOBODY, 'subscribe') as Allowed<'subscribe'>

const LINK = 1
const ID = 7

/** A log of rows of one size, and one subscription that follows it, read by hand. */
class Bench {
  readonly rows: Chunk[] = []
  readonly frames: Frame[] = []
  readonly pending: Extract<LogEffect, { name: 'read' }>[] = []
  subscriptions: Subscriptions
  floor = 0
  #readers = 0

  constructor() {
    this.subscriptions = this.#wake()
  }

  #wake(): Subscriptions {
    const last = this.rows.at(-1)
    return new Subscriptions(
      { head: last?.next ?? 0, bytes: (last?.start ?? 0) + (last?.size ?? 0) },
      () => ++this.#readers,
    )
  }

  run(effects: readonly LogEffect[]): void {
    for (const effect of effects) {
      if (effect.name === 'read') this.pending.push(effect)
      if (effect.name === 'send') this.frames.push(...effect.links.map(() => parseFrame(effect.text) as Frame))
    }
  }

  append(messages: number, size: number): void {
    const row = this.row(messages, size)
    this.rows.push(row)
    this.run(this.subscriptions.append([row]).effects)
  }

  row(messages: number, size: number): Chunk {
    const last = this.rows.at(-1)
    const first = last?.next ?? 0
    const body = Array.from({ length: messages }, (_, i) => String(first + i)).join(LINE_BREAK)
    const runs = JSON.stringify(['p0000001', first + 1, messages, 0])
    return {
      first,
      next: first + messages,
      at: 0,
      start: (last?.start ?? 0) + (last?.size ?? 0),
      size,
      runs,
      users: '[""]',
      body,
    }
  }

  /** Answer the oldest read with what a store would give now. */
  read(): boolean {
    const asked = this.pending.shift()
    if (!asked) return false
    const rows = this.rows.filter(({ first, next }) => next > asked.offset && first >= this.floor)
    const start = rows[0]?.start ?? 0
    const page = rows.filter((row, i) => row.start + row.size - start <= asked.maxBytes || i === 0)
    if (this.subscriptions.reads(asked.reader))
      this.run(this.subscriptions.page(asked.reader, page, this.floor).effects)
    return true
  }

  readAll(): void {
    while (this.read());
  }

  trim(floor: number): void {
    this.floor = floor
  }

  /** Memory is lost; what was written down of the link is not. */
  hibernate(): void {
    const states = this.subscriptions.states(LINK)
    this.subscriptions = this.#wake()
    this.pending.length = 0
    for (const state of states) this.run(this.subscriptions.restore(MAY, LINK, JSON.parse(JSON.stringify(state))))
  }

  deliveries(): DeliverParams[] {
    return this.frames.flatMap(({ method, params }) => (method === 'deliver' ? [params as DeliverParams] : []))
  }

  gaps(): GapParams[] {
    return this.frames.flatMap(({ method, params }) => (method === 'gap' ? [params as GapParams] : []))
  }

  messages(): unknown[] {
    return this.deliveries().flatMap(({ messages }) => messages)
  }
}

const upTo = (next: number, first = 0) => Array.from({ length: next - first }, (_, i) => first + i)

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})

describe('one that follows the end', () => {
  it('gets each row as it becomes durable, and the position behind it', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 1_000 }))

    bench.append(2, 100)
    bench.append(1, 50)

    expect(bench.deliveries()).toMatchObject([
      { subscription: ID, first: 0, next: 2, through: 100, messages: [0, 1] },
      { subscription: ID, first: 2, next: 3, through: 150, messages: [2] },
    ])
    expect(bench.pending).toEqual([])
  })

  it('shares one text with all links that call it by the same number', () => {
    for (const link of [1, 2, 3])
      bench.run(bench.subscriptions.add(MAY, link, { id: link === 3 ? 8 : ID, next: 0, window: 1_000 }))

    const { effects } = bench.subscriptions.append([bench.row(1, 100)])

    expect(effects).toMatchObject([{ links: [1, 2] }, { links: [3] }])
  })

  it('is sent one frame more than it has credit for, and then falls behind', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 150 }))

    for (let i = 0; i < 5; i++) bench.append(1, 100)

    expect(bench.messages()).toEqual([0, 1])
    expect(bench.subscriptions.states(LINK)).toEqual([
      { id: ID, next: 2, live: false, credit: { through: 150 }, at: 200 },
    ])
    expect(bench.pending).toEqual([])
  })

  it('falls behind in the middle of a commit of several rows', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 1 }))
    const first = bench.row(1, 100)
    bench.rows.push(first)
    const second = bench.row(1, 100)
    bench.rows.push(second)

    const { effects, fellBehind } = bench.subscriptions.append([first, second])
    bench.run(effects)

    expect(bench.messages()).toEqual([0])
    expect(fellBehind).toEqual(new Set([LINK]))
  })
})

describe('one that is behind', () => {
  beforeEach(() => {
    for (let i = 0; i < 10; i++) bench.append(1, 100)
  })

  it('reads to the end and then follows it, without a hole or a repeat', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 3, window: 10_000 }))

    bench.append(1, 100)
    bench.readAll()
    bench.append(1, 100)

    expect(bench.messages()).toEqual(upTo(12, 3))
  })

  it('continues when credit comes, and holds nothing until then', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: LIMITS.pageBytes }))
    for (let i = 0; i < 5; i++) bench.append(1, LIMITS.pageBytes / 2)
    bench.readAll()
    const before = bench.messages().length

    bench.run(bench.subscriptions.grant(LINK, ID, 4 * LIMITS.pageBytes))
    bench.readAll()

    expect(before).toBeLessThan(15)
    expect(bench.messages()).toEqual(upTo(15))
  })

  it('is cut into the middle of a row', () => {
    bench.append(10, 100)

    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 15, window: 10_000 }))
    bench.readAll()

    expect(bench.deliveries()).toMatchObject([{ first: 15, next: 20, through: 1_100, messages: upTo(20, 15) }])
  })

  it('sees nothing that is committed and not durable yet', () => {
    const early = bench.row(2, 100)
    bench.rows.push(early)

    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 8, window: 10_000 }))
    bench.readAll()
    const before = bench.messages()
    bench.run(bench.subscriptions.append([early]).effects)

    expect(before).toEqual([8, 9])
    expect(bench.messages()).toEqual([8, 9, 10, 11])
  })

  it('sees the durable half of a row that was made longer', () => {
    const last = bench.rows.pop() as Chunk
    const longer = {
      ...last,
      next: 12,
      size: 300,
      runs: `${last.runs},["p0000001",11,2,0]`,
      body: `9${LINE_BREAK}10${LINE_BREAK}11`,
    }
    bench.rows.push(longer)

    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 9, window: 10_000 }))
    bench.readAll()

    expect(bench.deliveries()).toMatchObject([{ first: 9, next: 10, through: 1_000, messages: [9] }])
  })

  it('has nothing to read once it was removed, and a page that comes late is nobody\u2019s', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 10_000 }))

    const removed = bench.subscriptions.remove(LINK, ID)
    bench.readAll()
    bench.append(1, 100)

    expect(removed).toBe(0)
    expect(bench.frames).toEqual([])
    expect(bench.subscriptions.remove(LINK, ID)).toBeUndefined()
  })

  it('does not get the page of the one that had its number before', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 10_000 }))
    bench.subscriptions.remove(LINK, ID)

    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 8, window: 10_000 }))
    bench.readAll()

    expect(bench.messages()).toEqual([8, 9])
  })
})

describe('credit', () => {
  beforeEach(() => {
    for (let i = 0; i < 4; i++) bench.append(1, 500_000)
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 1 }))
    bench.readAll()
  })

  it('of a window that is empty lets nothing through until it is granted', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: 8, next: 0, window: 0 }))
    bench.readAll()
    const before = bench.deliveries().filter(({ subscription }) => subscription === 8)

    bench.run(bench.subscriptions.grant(LINK, 8, 1))
    bench.readAll()

    expect(before).toEqual([])
    expect(bench.deliveries().filter(({ subscription }) => subscription === 8)).toMatchObject([{ first: 0 }])
  })

  it('is never taken back by a grant that comes late or twice', () => {
    bench.run(bench.subscriptions.grant(LINK, ID, 600_000))
    for (const through of [0, 1, 600_000, 599_999]) bench.run(bench.subscriptions.grant(LINK, ID, through))
    bench.readAll()

    expect(bench.messages()).toEqual([0, 1])
  })

  it('reaches creditBytes beyond what was sent and a row that can be made longer, and no further', () => {
    bench.run(bench.subscriptions.grant(LINK, ID, Number.MAX_SAFE_INTEGER))
    bench.readAll()

    expect(bench.subscriptions.states(LINK)).toMatchObject([
      { credit: { through: 500_000 + LIMITS.tailBytes + LIMITS.creditBytes } },
    ])
  })

  it('counts from what was handled, also where the next message stands inside a row that was made longer', () => {
    const row = bench.row(4, 1_000)
    const other = 8
    bench.rows.push(row)
    bench.run(bench.subscriptions.append([row]).effects)
    bench.run(bench.subscriptions.add(MAY, LINK, { id: other, next: row.first + 3, window: 0 }))
    bench.readAll()

    bench.run(bench.subscriptions.grant(LINK, other, row.start + 900 + LIMITS.creditBytes))

    expect(bench.subscriptions.states(LINK)).toContainEqual(
      expect.objectContaining({ id: other, credit: { through: row.start + 900 + LIMITS.creditBytes } }),
    )
  })

  it('for nobody changes nothing', () => {
    bench.run(bench.subscriptions.grant(LINK, 99, 5))
    bench.run(bench.subscriptions.grant(99, ID, 5))

    expect(bench.pending).toEqual([])
  })
})

describe('what was trimmed', () => {
  beforeEach(() => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 150 }))
    for (let i = 0; i < 10; i++) bench.append(1, 100)
  })

  it('up to the end of the log ends there, also where the store shows a row that goes on behind it', () => {
    const other = 8
    const last = bench.rows.at(-1) as Chunk
    const longer = { ...bench.row(2, 200), ...last, next: last.next + 1, size: 200 }
    bench.run(bench.subscriptions.add(MAY, LINK, { id: other, next: 5, window: 50 }))
    const { reader } = bench.pending.pop() as { reader: number }
    bench.frames.length = 0

    bench.run(bench.subscriptions.page(reader, [longer], last.next).effects)

    const through = last.start + last.size
    expect(bench.frames).toMatchObject([{ method: 'gap', params: { from: 5, to: last.next, through } }])
    expect(bench.subscriptions.states(LINK)).toContainEqual({
      id: other,
      next: last.next,
      live: true,
      credit: { through: through + 50 },
    })
  })

  it('becomes one gap, before the first message behind it', () => {
    bench.trim(6)

    bench.run(bench.subscriptions.grant(LINK, ID, 1_000))
    bench.readAll()

    expect(bench.gaps()).toEqual([{ subscription: ID, from: 2, to: 6, through: 600, reason: 'retention' }])
    expect(bench.frames.map(({ method }) => method)).toEqual(['deliver', 'deliver', 'gap', 'deliver'])
    expect(bench.messages()).toEqual([0, 1, 6, 7, 8, 9])
  })

  it('becomes one gap also when more is trimmed while its reader has no credit', () => {
    for (const floor of [4, 6, 8]) {
      bench.trim(floor)
      bench.hibernate()
      bench.readAll()
    }
    const before = bench.gaps()

    bench.run(bench.subscriptions.grant(LINK, ID, 1_000))
    bench.readAll()

    expect(before).toEqual([])
    expect(bench.gaps()).toMatchObject([{ from: 2, to: 8 }])
  })

  it('says the position behind it, or its reader could not give credit for what follows and would wait for ever', () => {
    bench.append(1, 5_000_000)
    bench.append(1, 100)
    bench.trim(11)

    bench.run(bench.subscriptions.grant(LINK, ID, 201))
    bench.readAll()
    const before = bench.messages()
    const [gap] = bench.gaps()
    bench.run(bench.subscriptions.grant(LINK, ID, (gap?.through ?? 0) + 150))
    bench.readAll()
    bench.append(1, 100)

    expect(gap).toMatchObject({ from: 2, to: 11, through: 5_001_000 })
    expect(before).toEqual([0, 1])
    expect(bench.messages()).toEqual([0, 1, 11, 12])
    expect(bench.gaps()).toHaveLength(1)
  })

  it('may be all there was of a page that was read meanwhile', () => {
    bench.run(bench.subscriptions.grant(LINK, ID, 1_000))
    const stale = bench.rows.slice(2, 5)
    const { reader } = bench.pending.shift() as { reader: number }

    bench.trim(7)
    bench.run(bench.subscriptions.page(reader, stale, 7).effects)
    bench.readAll()

    expect(bench.gaps()).toMatchObject([{ from: 2, to: 7 }])
    expect(bench.messages()).toEqual([0, 1, 7, 8, 9])
  })
})

describe('waking', () => {
  it('goes on where it was written down, without a repeat', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 150 }))
    for (let i = 0; i < 6; i++) bench.append(1, 100)

    bench.hibernate()
    bench.run(bench.subscriptions.grant(LINK, ID, 1_000))
    bench.readAll()

    expect(bench.messages()).toEqual(upTo(6))
  })

  it('reads nothing for one that has no credit', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 150 }))
    for (let i = 0; i < 6; i++) bench.append(1, 100)

    bench.hibernate()

    expect(bench.pending).toEqual([])
  })

  it('keeps the window of one that had not begun to read', () => {
    for (let i = 0; i < 6; i++) bench.append(1, 100)
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 2, window: 1_000 }))

    bench.hibernate()
    bench.readAll()

    expect(bench.messages()).toEqual([2, 3, 4, 5])
  })

  it('shows one that followed the end where the end is now', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 1_000 }))
    const [state] = bench.subscriptions.states(LINK)
    bench.rows.push(bench.row(2, 100))

    bench.subscriptions = new Subscriptions({ head: 2, bytes: 100 }, () => 1)
    bench.run(bench.subscriptions.restore(MAY, LINK, state as NonNullable<typeof state>))

    expect(bench.deliveries()).toEqual([{ subscription: ID, first: 2, next: 2, through: 100, runs: [], messages: [] }])
  })

  it('says nothing to one that followed the end where nothing has come', () => {
    bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window: 1_000 }))

    bench.hibernate()
    bench.append(1, 100)

    expect(bench.messages()).toEqual([0])
  })
})

it('delivers everything kept once, in order, with one gap where it was trimmed, within its credit, whatever happens', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        name: fc.constant('append' as const),
        messages: fc.integer({ min: 1, max: 4 }),
        size: fc.constantFrom(80, 400, 3_000, 300_000),
      }),
    },
    { weight: 4, arbitrary: fc.constant({ name: 'read' as const }) },
    {
      weight: 3,
      arbitrary: fc.record({ name: fc.constant('handle' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ name: fc.constant('trim' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    },
    { weight: 1, arbitrary: fc.constant({ name: 'hibernate' as const }) },
  )

  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80 }),
      fc.constantFrom(100, 5_000, LIMITS.creditBytes),
      fc.nat({ max: 5 }),
      (steps, window, start) => {
        const bench = new Bench()
        for (let i = 0; i < start; i++) bench.append(1, 1_000)
        bench.run(bench.subscriptions.add(MAY, LINK, { id: ID, next: 0, window }))
        let granted = window
        const grant = (): void => {
          const handled = bench.frames.at(-1)?.params as DeliverParams | GapParams | undefined
          granted = Math.max(granted, (handled?.through ?? 0) + window)
          bench.run(bench.subscriptions.grant(LINK, ID, granted))
        }
        for (const step of steps) {
          if (step.name === 'append') bench.append(step.messages, step.size)
          if (step.name === 'read') bench.read()
          if (step.name === 'handle') grant()
          if (step.name === 'trim')
            bench.trim(Math.max(bench.floor, bench.rows[Math.floor(bench.rows.length * step.share)]?.first ?? 0))
          if (step.name === 'hibernate') bench.hibernate()
        }

        for (let i = 0; i < bench.rows.length + 2; i++) {
          bench.readAll()
          grant()
        }
        bench.append(1, 100)
        bench.readAll()

        let next = 0
        let afterGap = false
        for (const { method, params } of bench.frames) {
          const { first, from, to, ...deliver } = params as DeliverParams & GapParams
          if (method === 'gap') {
            expect([from, afterGap]).toEqual([next, false])
            next = to
          } else {
            expect(first).toBe(next)
            expect(deliver.messages).toEqual(upTo(deliver.next, first))
            next = deliver.next
          }
          // An empty range says only where the end is.
          afterGap = method === 'gap' || (afterGap && deliver.messages.length === 0)
        }
        expect(next).toBe(bench.rows.at(-1)?.next)
      },
    ),
    { numRuns: 300 },
  )
})
