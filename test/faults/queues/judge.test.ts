import { describe, expect, it, test } from 'vitest'
import type { Invariant } from '../../support/checker/invariants.ts'
import type { QueueEvent, Said, StampedEvent, StoredJob } from './events.ts'
import { judgeQueue } from './judge.ts'

/** Histories of a job `j`, whose id is 1, and of workers `a` and `b` with leases of 100 ms, at times in ms. */

type At = readonly [ms: number, event: QueueEvent]
const LEASE = 100

const enqueue = (at: number, job = 'j'): At => [at, { e: 'enqueue', job }]
const enqueued = (at: number, id = 1, job = 'j'): At => [at, { e: 'enqueued', job, id, duplicate: false }]
const hired = (worker: string, leaseMs = LEASE): At => [0, { e: 'hired', worker, leaseMs }]
const began = (at: number, run: string, delivery: number, over: { job?: string; id?: number } = {}): At => [
  at,
  { e: 'began', run, worker: run[0] as string, job: 'j', id: 1, delivery, intact: true, ...over },
]
const ended = (at: number, run: string, said: Said = 'ack'): At => [at, { e: 'ended', run, said }]
const aborted = (at: number, run: string): At => [at, { e: 'aborted', run, why: 'lease_lost' }]
const of =
  (worker: string, e: 'left' | 'killed' | 'denied') =>
  (at: number): At => [at, { e, worker }]
const clock = (at: number, offsetMs: number): At => [at, { e: 'clock', offsetMs }]
const life = (at: number): At => [at, { e: 'life' }]
const rested: At = [9_000, { e: 'rested', ms: 1, limitMs: 10 }]
const stored = (at: number, ...jobs: StoredJob[]): At => [at, { e: 'stored', jobs }]
const J: StoredJob = { id: 1, job: 'j', dead: true }

const start = [hired('a'), hired('b'), enqueue(0), enqueued(5)]

function judged(events: readonly At[], ...readings: StoredJob[][]) {
  const history = [...events, rested].map(([ms, event]): StampedEvent => [ms * 1e6, event])
  return judgeQueue(history, { readings: readings.length > 0 ? readings : [[]] }).verdict
}
const broken = (events: readonly At[], ...readings: StoredJob[][]): Invariant[] => [
  ...judged(events, ...readings).violations.keys(),
]

describe('what users may see', () => {
  const fine: Record<string, At[]> = {
    'a job is done': [began(10, 'a1', 1), ended(20, 'a1')],
    'a handler fails, and another one does it': [
      began(10, 'a1', 1),
      ended(20, 'a1', 'retry'),
      began(21, 'b1', 2),
      ended(30, 'b1'),
    ],
    'a lease ends while its handler goes on, whose ack is too late': [
      began(10, 'a1', 1),
      began(110, 'b1', 2),
      ended(115, 'a1'),
      ended(120, 'b1'),
    ],
    'an ack is late, and nobody had the job meanwhile': [began(10, 'a1', 1), ended(500, 'a1')],
    'a worker is killed': [began(10, 'a1', 1), of('a', 'killed')(20), began(110, 'b1', 2), ended(120, 'b1')],
    'a worker gives its job back': [began(10, 'a1', 1), of('a', 'left')(20), began(25, 'b1', 1), ended(30, 'b1')],
    'a handler gives its job back': [
      began(10, 'a1', 1),
      ended(15, 'a1', 'release'),
      began(16, 'a2', 1),
      ended(30, 'a2'),
    ],
    'a job arrives at its worker when its lease has long ended': [
      began(110, 'b1', 2),
      ended(120, 'b1'),
      began(130, 'a1', 1),
      ended(131, 'a1'),
    ],
    'the clock is put ahead, and with it the ends of leases': [
      began(10, 'a1', 1),
      clock(20, 90),
      began(21, 'b1', 2),
      ended(30, 'b1'),
      ended(40, 'a1'),
    ],
    'a job is given to somebody when the clock has been put back, long after it was enqueued': [
      clock(50, -2_000),
      life(51),
      began(60, 'a1', 1),
      began(170, 'b1', 2),
      ended(180, 'b1'),
      ended(190, 'a1'),
    ],
    'a worker is not back in time by the clock of a home that woke when that was put back': [
      [9, { e: 'hired', worker: 'c', leaseMs: 60_000 }],
      began(10, 'c1', 1),
      of('c', 'killed')(15),
      clock(20, -20_000),
      life(21),
      clock(30, -9_000),
      began(31, 'b1', 2),
      ended(40, 'b1'),
    ],
    'who may not work any more is not heard, and comes back without the job': [
      began(10, 'a1', 1),
      of('a', 'denied')(15),
      ended(20, 'a1'),
      began(40, 'a2', 1),
      ended(50, 'a2'),
    ],
    'a job is cancelled': [began(10, 'a1', 1), [15, { e: 'cancel', ids: [1] }], aborted(16, 'a1')],
    'a job was gone, and the word of an old lease had been long on its way': [
      began(120, 'b1', 2),
      ended(125, 'b1'),
      stored(130),
      began(140, 'a1', 1),
      ended(141, 'a1'),
    ],
  }

  for (const [words, events] of Object.entries(fine))
    it(words, () => {
      expect(judged([...start, ...events]).toJSON().violations).toEqual([])
    })

  it('a job is dead', () => {
    expect(broken([...start, began(10, 'a1', 1), ended(20, 'a1', 'bury')], [J], [J])).toEqual([])
  })

  it('a dead job is redriven, and counts its deliveries anew', () => {
    const dead = [began(10, 'a1', 1), ended(20, 'a1', 'retry'), began(30, 'a2', 2), ended(40, 'a2', 'bury')]
    const redriven: At[] = [[50, { e: 'redrive', ids: [1] }], began(60, 'b1', 1), ended(70, 'b1')]

    expect(broken([...start, ...dead, ...redriven])).toEqual([])
  })

  it('an enqueuer dies, and its job is there or not', () => {
    const unknown = [...start.slice(0, 3), [5, { e: 'unknown', job: 'j' }] as const]

    expect(broken([...unknown, enqueue(6, 'k'), enqueued(7, 2, 'k')], [{ ...J, id: 2, job: 'k' }])).toEqual([])
    expect(
      broken([...start, enqueue(6, 'k'), [7, { e: 'unknown', job: 'k' }]], [J, { ...J, id: 2, job: 'k' }]),
    ).toEqual([])
  })
})

describe('what must not be', () => {
  const wrong: [Invariant, string, At[], StoredJob[]?][] = [
    ['job lost', 'acked, and never seen again', []],
    ['job lost', 'its only handler failed', [began(10, 'a1', 1), ended(20, 'a1', 'retry')]],
    ['job lost', 'its only worker was killed', [began(10, 'a1', 1), of('a', 'killed')(20)]],
    [
      'job lost',
      'its handler returned after its worker had left',
      [began(10, 'a1', 1), of('a', 'left')(20), ended(25, 'a1')],
    ],
    [
      'stale lease accepted',
      'gone, and its newest run was killed',
      [began(10, 'a1', 1), began(120, 'b1', 2), ended(125, 'a1'), of('b', 'killed')(130)],
    ],
    [
      'two live leases',
      'a second run while the first lease lasts',
      [began(10, 'a1', 1), began(60, 'b1', 2), ended(70, 'b1'), ended(80, 'a1')],
    ],
    [
      'two live leases',
      'a worker is dead, and its lease is not',
      [began(10, 'a1', 1), of('a', 'killed')(20), began(60, 'b1', 2), ended(70, 'b1')],
    ],
    [
      'two live leases',
      'the second lease ended too early',
      [
        began(10, 'a1', 1),
        ended(20, 'a1', 'retry'),
        began(30, 'b1', 2),
        began(90, 'a2', 3),
        ended(95, 'a2'),
        ended(96, 'b1'),
      ],
    ],
    [
      'two live leases',
      'a clock that was put back ended a lease',
      [clock(8, -90), life(9), began(10, 'a1', 1), began(70, 'b1', 2), ended(75, 'b1'), ended(80, 'a1')],
    ],
    [
      'token that did not rise',
      'a loss is forgotten with the home that knew of it',
      [began(10, 'a1', 1), aborted(110, 'a1'), ended(111, 'a1'), life(120), began(130, 'b1', 1), ended(140, 'b1')],
    ],
    [
      'token that did not rise',
      'a lease was lost, and nobody says so',
      [began(10, 'a1', 1), began(150, 'b1', 1), ended(155, 'b1'), ended(160, 'a1')],
    ],
    [
      'token that did not rise',
      'fell, at one worker',
      [began(10, 'a1', 2), ended(11, 'a1', 'retry'), began(20, 'a2', 1), ended(30, 'a2')],
    ],
    [
      'job ran after it was done',
      'gone from the disk, and given out',
      [began(10, 'a1', 1), ended(20, 'a1'), stored(50), began(150, 'b1', 2), ended(160, 'b1')],
    ],
    [
      'job ran after it was done',
      'gone from the disk, and back',
      [began(10, 'a1', 1), ended(20, 'a1'), stored(50), stored(60, J)],
      [J],
    ],
    [
      'lease lost and its handler not told',
      'the same worker has it again',
      [began(10, 'a1', 1), began(150, 'a2', 2), ended(155, 'a2'), ended(160, 'a1')],
    ],
    [
      'lease lost and its handler not told',
      'goes on at the end',
      [began(10, 'a1', 1), began(150, 'b1', 2), ended(155, 'b1')],
    ],
    [
      'message stored twice',
      'two ids',
      [began(10, 'a1', 1), ended(20, 'a1'), began(10, 'b1', 1, { id: 2 }), ended(20, 'b1')],
    ],
    ['two messages at one offset', 'two jobs of one id', [enqueue(6, 'k'), enqueued(7, 1, 'k')], [J]],
    ['message that nobody published', 'a job from nowhere', [began(10, 'a1', 1, { job: 'x', id: 9 })], [J]],
    [
      'refused message stored',
      'refused, and done',
      [enqueue(6, 'k'), [7, { e: 'refused', job: 'k' }], began(10, 'a1', 1, { job: 'k', id: 2 }), ended(20, 'a1')],
      [J],
    ],
    ['never settled', 'nobody hears what became of it', [enqueue(6, 'k')], [J]],
    ['did not come to rest', 'still waits at the end', [], [{ ...J, dead: false }]],
    [
      'message with other bytes',
      'another payload',
      [[10, { ...(began(10, 'a1', 1)[1] as object), intact: false } as QueueEvent], ended(20, 'a1')],
    ],
  ]

  for (const [invariant, words, events, left = []] of wrong)
    it(`${invariant}: ${words}`, () => {
      expect(
        broken(
          [...start, ...events].sort(([a], [b]) => a - b),
          left,
        ),
      ).toContain(invariant)
    })

  it('readings of the log differ: the disk says something else than the queue', () => {
    expect(broken(start, [J], [])).toContain('readings of the log differ')
  })
})

test('of a clock that was put back only the next life of a server knows', () => {
  const back = [clock(20, 200), clock(25, 0)]
  const runs = [began(10, 'a1', 1), began(40, 'b1', 2), ended(50, 'b1'), ended(60, 'a1')]
  const sorted = (more: readonly At[]) => [...start, ...more].sort(([a], [b]) => a - b)

  expect(broken(sorted([...back, ...runs]))).toEqual([])
  expect(broken(sorted([clock(-3, 200), clock(-2, 0), life(-1), ...runs]))).toEqual(['two live leases'])
})
