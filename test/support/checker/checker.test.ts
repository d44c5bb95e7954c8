import { describe, expect, it } from 'vitest'
import { check } from './check.ts'
import type { Ending, FinalLog, HistoryEvent, Looked } from './history.ts'
import { INVARIANTS, type Invariant } from './invariants.ts'
import { EXAMPLES, Verdict } from './verdict.ts'

const publish = (order: number, digest?: string): HistoryEvent => ({
  e: 'publish',
  id: `a.${order}`,
  publisher: 'a',
  order,
  ...(digest === undefined ? {} : { digest }),
})
const acked = (order: number, offset: number | undefined, duplicate = false): HistoryEvent => ({
  e: 'acked',
  id: `a.${order}`,
  epoch: 'E',
  offset,
  duplicate,
})
const start = (next: number, resumed = false): HistoryEvent => ({ e: 'start', sub: 's', epoch: 'E', next, resumed })
const deliver = (offset: number, order = offset + 1, digest?: string): HistoryEvent => ({
  e: 'deliver',
  sub: 's',
  epoch: 'E',
  offset,
  id: `a.${order}`,
  ...(digest === undefined ? {} : { digest }),
})
const handled = (offset: number): HistoryEvent => ({ e: 'handled', sub: 's', offset })
const gap = (from: number, to: number, reason = 'retention'): HistoryEvent => ({
  e: 'gap',
  sub: 's',
  epoch: 'E',
  from,
  to,
  reason,
})
const claimed = (token: number, at: number): Extract<HistoryEvent, { e: 'claimed' }> => ({
  e: 'claimed',
  job: 'j',
  token,
  at,
  deadline: at + 10,
})
const grouped = (place: number, held: number): HistoryEvent => ({
  ...(claimed(place, 10 * place) as Extract<HistoryEvent, { e: 'claimed' }>),
  group: { name: 'g', held, most: 1, order: { id: place } },
})
const settled = (token: number, at: number, as: 'done' | 'back'): HistoryEvent => ({
  e: 'settled',
  job: 'j',
  token,
  at,
  as,
  accepted: true,
})
const job: HistoryEvent = { e: 'enqueued', job: 'j' }

/** A log that holds these of a's messages, from `floor` on. */
function log(orders: readonly number[], floor = 0, over: Partial<FinalLog> = {}): FinalLog {
  const messages = orders.map((order, i) => ({ offset: floor + i, id: `a.${order}` }))
  return { epoch: 'E', floor, head: floor + orders.length, messages, ...over }
}

const broken = (history: readonly HistoryEvent[], ending: Partial<Ending> & Pick<Ending, 'logs'>): Invariant[] => [
  ...check(history, { subscriptions: [], ...ending }).violations.keys(),
]

describe('a history in which everything was kept', () => {
  const history: HistoryEvent[] = [
    start(0),
    publish(1, 'x'),
    { e: 'stored', id: 'a.1' },
    publish(2),
    acked(1, 0),
    deliver(0, 1, 'x'),
    handled(0),
    acked(2, 1),
    deliver(1),
    start(1, true),
    deliver(1),
    handled(1),
    publish(3),
    { e: 'refused', id: 'a.3' },
    publish(4),
    acked(4, 2),
    acked(4, 2, true),
    { e: 'trimmed', floor: 3 },
    gap(2, 3),
    { e: 'revoked', sub: 's' },
    { e: 'granted', sub: 's' },
    { e: 'served', sub: 's' },
    { e: 'sample', bound: 'creditBytes', value: 10, limit: 10 },
    { e: 'rested', ms: 5, limitMs: 10 },
    { e: 'denied', publisher: 'a' },
    publish(5),
    { e: 'allowed', publisher: 'a' },
    { e: 'arrived', id: 'a.5', may: false },
    { e: 'arrived', id: 'a.5', may: true },
    { e: 'arrived', id: 'a.5', may: false },
    acked(5, 3),
    deliver(3, 5),
    job,
    { ...claimed(1, 0), delivery: 1 },
    { e: 'lost', job: 'j', token: 1 },
    { ...claimed(2, 10), delivery: 2 },
    { e: 'extended', job: 'j', token: 1, at: 11, deadline: 30, accepted: false },
    settled(2, 12, 'back'),
    claimed(3, 12),
    settled(3, 13, 'done'),
    { ...job, job: 'k' },
    { ...(grouped(4, 1) as object), job: 'k' } as HistoryEvent,
  ]
  const verdict = check(history, { logs: [log([5], 3), log([5], 3)], subscriptions: ['s'], jobs: new Set('k') })

  it('has no violation', () => {
    expect([...verdict.violations]).toEqual([])
    expect(verdict).toMatchObject({ histories: 1, invalid: 0 })
  })

  it('was looked at for all that it has something to say about', () => {
    const unseen = Object.keys(INVARIANTS).filter((name) => !verdict.checked.has(name as Invariant))

    // Two of a place are only met when they collide; what handlers are told is seen by who judges processes, the rest by who looks.
    expect(unseen).toEqual([
      'stored on disk and forgotten',
      'lease lost and its handler not told',
      'two jobs of one key',
      'job that was replaced came back',
      'result lost',
      'state lost',
    ])
  })
})

it('a position that was written down late may lie behind what was handled, once', () => {
  const history = [
    start(0),
    publish(1),
    publish(2),
    acked(1, 0),
    acked(2, 1),
    deliver(0),
    handled(0),
    deliver(1),
    handled(1),
  ]

  const verdict = check([...history, start(0, true), start(2, true)], { logs: [log([1, 2])], subscriptions: [] })

  expect([...verdict.violations]).toEqual([])
})

const looked = (at: Looked): HistoryEvent => ({ e: 'looked', at, holds: false })

describe('every invariant is violated by a history of its own', () => {
  const cases: Record<
    Exclude<Invariant, 'lease lost and its handler not told'>,
    [HistoryEvent[], Partial<Ending> & Pick<Ending, 'logs'>]
  > = {
    'acked message lost': [[publish(1), acked(1, 0)], { logs: [log([])] }],
    'message that nobody published': [[start(0), deliver(0)], { logs: [log([])] }],
    'refused message stored': [[publish(1), { e: 'refused', id: 'a.1' }], { logs: [log([1])] }],
    'message with other bytes': [[start(0), publish(1, 'x'), acked(1, 0), deliver(0, 1, 'y')], { logs: [log([1])] }],
    'two messages at one offset': [
      [start(0), publish(1), publish(2), acked(1, 0), acked(2, 1), deliver(0, 2)],
      { logs: [log([1, 2])] },
    ],
    'readings of the log differ': [[publish(1), acked(1, 0)], { logs: [log([1]), log([1], 0, { head: 2 })] }],
    'offsets with a hole': [
      [publish(1), publish(2), acked(1, 0), acked(2, 2)],
      {
        logs: [
          log([], 0, {
            head: 3,
            messages: [
              { offset: 0, id: 'a.1' },
              { offset: 2, id: 'a.2' },
            ],
          }),
        ],
      },
    ],
    'delivered twice': [[start(0), publish(1), acked(1, 0), deliver(0), deliver(0)], { logs: [log([1])] }],
    'delivered past a hole': [
      [start(0), publish(1), publish(2), acked(1, 0), acked(2, 1), deliver(1)],
      { logs: [log([1, 2])] },
    ],
    'resumed past an unhandled message': [
      [start(0), publish(1), acked(1, 0), deliver(0), start(1, true)],
      { logs: [log([1])] },
    ],
    'gap at the wrong place': [[start(0), publish(1), acked(1, 0), gap(0, 1), gap(0, 1)], { logs: [log([], 1)] }],
    'gap where nothing is missing': [[start(0), publish(1), acked(1, 0), gap(0, 1)], { logs: [log([1])] }],
    'publisher order broken': [[publish(1), publish(2), acked(1, 1), acked(2, 0)], { logs: [log([2, 1])] }],
    'stored before an earlier ack': [[publish(1), acked(1, 1), publish(2), acked(2, 0)], { logs: [log([2, 1])] }],
    'two acks that differ': [[publish(1), acked(1, 0), acked(1, 1, true)], { logs: [log([1])] }],
    'message stored twice': [[publish(1), acked(1, 0)], { logs: [log([1, 1])] }],
    'not delivered in the end': [[start(0), publish(1), acked(1, 0)], { logs: [log([1])], subscriptions: ['s'] }],
    'never settled': [[publish(1)], { logs: [log([])] }],
    'stored on disk and forgotten': [
      [publish(1), { e: 'stored', id: 'a.1' }, { e: 'unknown', id: 'a.1', why: 'crash' }],
      { logs: [log([])] },
    ],
    'did not come to rest': [[{ e: 'rested', ms: 11, limitMs: 10 }], { logs: [log([])] }],
    'two live leases': [[job, claimed(1, 0), claimed(2, 9)], { logs: [log([])], jobs: new Set('j') }],
    'lost lease not counted': [
      [job, { ...claimed(1, 0), delivery: 1 }, { e: 'lost', job: 'j', token: 1 }, { ...claimed(2, 10), delivery: 1 }],
      { logs: [log([])], jobs: new Set('j') },
    ],
    'token that did not rise': [[job, claimed(1, 0), claimed(1, 10)], { logs: [log([])], jobs: new Set('j') }],
    'stale lease accepted': [
      [job, claimed(1, 0), claimed(2, 10), settled(1, 11, 'back')],
      { logs: [log([])], jobs: new Set('j') },
    ],
    'job ran after it was done': [[job, claimed(1, 0), settled(1, 1, 'done'), claimed(2, 2)], { logs: [log([])] }],
    'job lost': [[job, claimed(1, 0), settled(1, 1, 'back')], { logs: [log([])] }],
    'more of a group held than it allows': [[job, grouped(1, 2)], { logs: [log([])], jobs: new Set('j') }],
    'group out of order': [[job, grouped(2, 1), grouped(1, 1)], { logs: [log([])], jobs: new Set('j') }],
    'two jobs of one key': [[looked('two jobs of one key')], { logs: [log([])] }],
    'job that was replaced came back': [[looked('job that was replaced came back')], { logs: [log([])] }],
    'result lost': [[looked('result lost')], { logs: [log([])] }],
    'state lost': [[looked('state lost')], { logs: [log([])] }],
    'bound exceeded': [[{ e: 'sample', bound: 'creditBytes', value: 11, limit: 10 }], { logs: [log([])] }],
    'served after the right was gone': [
      [
        { e: 'revoked', sub: 's' },
        { e: 'served', sub: 's' },
      ],
      { logs: [log([])] },
    ],
    'stored without the right to': [[{ e: 'denied', publisher: 'a' }, publish(1), acked(1, 0)], { logs: [log([1])] }],
  }

  for (const [invariant, [history, ending]] of Object.entries(cases)) {
    it(`${INVARIANTS[invariant as Invariant].number}: ${invariant}`, () => {
      expect(broken(history, ending)).toContain(invariant)
    })
  }

  it('says which place an acked message was lost from', () => {
    const history = [1, 2, 3, 4, 5].flatMap((order) => [publish(order), acked(order, order - 1)])
    const messages = [
      { offset: 1, id: 'a.2' },
      { offset: 3, id: 'a.4' },
    ]

    const { lost } = check(history, { logs: [log([], 0, { head: 5, messages })], subscriptions: [] })

    expect(lost).toEqual({ prefix: 1, middle: 1, postfix: 1 })
  })

  it('does not count a history in which hardly anything was acked as one that passed', () => {
    const forgotten = (order: number): HistoryEvent => ({ e: 'unknown', id: `a.${order}`, why: 'crash' })
    const history = [publish(1), publish(2), publish(3), acked(1, 0), forgotten(2), forgotten(3)]

    expect(check(history, { logs: [log([1])], subscriptions: [] })).toMatchObject({ histories: 1, invalid: 1 })
  })
})

it('lets a log that was made anew count from the start again', () => {
  const anew: HistoryEvent = { e: 'acked', id: 'a.2', epoch: 'F', offset: 0, duplicate: false }

  expect(broken([publish(1), acked(1, 5), publish(2), anew], { logs: [log([2], 0, { epoch: 'F' })] })).toEqual([])
})

it('lets what waited be stored once a right is given back, also where it had been taken twice', () => {
  const denied: HistoryEvent = { e: 'denied', publisher: 'a' }
  const history = [denied, publish(1), denied, publish(2), { e: 'allowed', publisher: 'a' } as const]

  expect(broken([...history, acked(1, 0), acked(2, 1)], { logs: [log([1, 2])] })).toEqual([])
})

it('a message that never arrived with the right to be stored was stored without it, also where it is trimmed by the end', () => {
  const turnedAway: HistoryEvent = { e: 'arrived', id: 'a.1', may: false }

  expect(broken([publish(1), turnedAway], { logs: [log([1])] })).toContain('stored without the right to')
  expect(broken([publish(1), turnedAway, acked(1, 0)], { logs: [log([], 1)] })).toEqual(['stored without the right to'])
  expect(broken([publish(1), turnedAway, { e: 'refused', id: 'a.1' }], { logs: [log([])] })).toEqual([])
})

it('adds up what many histories showed, and keeps the first examples with where they came from', () => {
  const total = new Verdict()
  for (let seed = 1; seed <= EXAMPLES + 8; seed++)
    total.add(check([publish(1)], { logs: [log([])], subscriptions: [] }), `seed ${seed}`)

  const [violation] = total.toJSON().violations
  expect(total.violationCount).toBe(EXAMPLES + 8)
  expect(violation).toMatchObject({ invariant: 'never settled', number: 'V11', promise: 'G6', count: EXAMPLES + 8 })
  expect(violation?.examples).toHaveLength(EXAMPLES)
  expect(violation?.examples[0]).toBe('seed 1: a.1')
})

it('judges in linear time: a hundred thousand messages are one pass', () => {
  const count = 100_000
  const orders = Array.from({ length: count }, (_, i) => i + 1)
  const history = [
    start(0),
    ...orders.flatMap((order) => [publish(order), acked(order, order - 1), deliver(order - 1), handled(order - 1)]),
  ]

  const verdict = check(history, { logs: [log(orders)], subscriptions: ['s'] })

  expect(verdict.violationCount).toBe(0)
  expect(verdict.checked.get('delivered twice')).toBe(count)
})
