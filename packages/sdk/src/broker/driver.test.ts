import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../store/memory.ts'
import type { Chunk, LogStore, Maybe } from '../store/store.ts'
import { drive } from './driver.ts'
import { logStoring } from './home.ts'
import type { LogEffect, LogEvent } from './machine.ts'

const DUE: LogEvent = { name: 'due' }
const COMMIT: LogEffect = { name: 'commit', commit: 1, write: { expect: { head: 0, term: 0 }, append: [] } }
const READ: LogEffect = { name: 'read', reader: 4, direction: 'on', offset: 0, maxBytes: 1 }
const WAKE: LogEffect = { name: 'wake-at', at: 5 }

/** A machine that takes note of what it hears. */
function machine(answer: (event: LogEvent, nowMs: number) => readonly LogEffect[]) {
  const events: LogEvent[] = []
  return {
    events,
    names: () => events.map(({ name }) => name),
    step: (event: LogEvent, nowMs: number): readonly LogEffect[] => {
      events.push(event)
      return answer(event, nowMs)
    },
  }
}

/** Answers `due` with the effects given, and nothing else. */
const onDue =
  (...effects: readonly LogEffect[]) =>
  ({ name }: LogEvent) =>
    name === 'due' ? effects : []

/** A store whose answers are given. */
function store(answers: Partial<Pick<LogStore, 'commit' | 'durable' | 'read' | 'readBefore'>>) {
  const memory = new MemoryStore()
  return logStoring({
    load: (epoch) => memory.load(epoch),
    commit: () => {},
    durable: () => {},
    read: () => [],
    readBefore: () => [],
    ...answers,
  })
}

const ignore = () => {}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const later = <T>(value: T): Promise<T> => Promise.resolve(value)
const failing = (): Maybe<never> => {
  throw new Error('disk')
}
const failingLater = (): Promise<never> => Promise.reject(new Error('disk'))

describe.each([
  ['at once', <T>(value: T): Maybe<T> => value, failing],
  ['later', later, failingLater],
])('with a store that answers %s', (_when, answer, fail) => {
  it('says durable only after both the commit and the flush', async () => {
    const order: string[] = []
    const log = machine(onDue(COMMIT))
    const post = drive(
      log,
      store({
        commit: () => {
          order.push('commit')
          return answer(undefined)
        },
        durable: () => {
          order.push(`durable, heard ${log.events.length}`)
          return answer(undefined)
        },
      }),
      { perform: ignore, now: () => 0 },
    )

    post(DUE)
    await turn()

    expect(order).toEqual(['commit', 'durable, heard 1'])
    expect(log.names()).toEqual(['due', 'durable'])
  })

  it.each(['commit', 'durable'] as const)('says that the commit failed when %s fails', async (operation) => {
    const log = machine(onDue(COMMIT))
    const post = drive(log, store({ [operation]: fail }), { perform: ignore, now: () => 0 })

    post(DUE)
    await turn()

    expect(log.names()).toEqual(['due', 'commit-failed'])
  })

  it('hands over the chunks that were read, and says when reading fails', async () => {
    const chunks: Chunk[] = []
    const log = machine(onDue(READ, { ...READ, reader: 5, direction: 'back' }))
    const post = drive(log, store({ read: () => answer(chunks), readBefore: fail }), { perform: ignore, now: () => 0 })

    post(DUE)
    await turn()

    expect(log.events.slice(1)).toMatchObject([
      { name: 'chunks-read', reader: 4, chunks },
      { name: 'read-failed', reader: 5 },
    ])
  })
})

it('carries out all effects of a step before the next event, also where the store answers at once', () => {
  const order: string[] = []
  const log = machine((event) => {
    order.push(event.name)
    return onDue(COMMIT, WAKE)(event)
  })
  const post = drive(log, store({}), { perform: ({ name }) => order.push(name), now: () => 0 })

  post(DUE)

  expect(order).toEqual(['due', 'wake-at', 'durable'])
})

it('queues an event that an effect leads to instead of recursing', () => {
  const performed: unknown[] = []
  const log = machine(() => (log.events.length < 20_000 ? [READ] : []))
  const post = drive(log, store({}), { perform: (effect) => performed.push(effect), now: () => 0 })

  post(DUE)

  // A stack that ran over would be a failure of the machine.
  expect([log.events.length, performed]).toEqual([20_000, []])
})

it('asks the clock for each event', () => {
  const times: number[] = []
  let nowMs = 0
  const log = machine((event, nowMs) => {
    times.push(nowMs)
    return nowMs === 1 ? onDue(COMMIT)(event) : []
  })
  const post = drive(log, store({}), { perform: ignore, now: () => ++nowMs })

  post(DUE)
  post(DUE)

  expect(times).toEqual([1, 2, 3])
})

describe('a machine that throws', () => {
  const broken = (...effects: LogEffect[]) =>
    machine((event) => {
      if (event.name === 'closed') throw new Error('our mistake')
      return onDue(...effects)(event)
    })

  it('is reported as failed', () => {
    const performed: unknown[] = []
    const post = drive(broken(), store({}), { perform: (effect) => performed.push(effect), now: () => 0 })

    post({ name: 'closed', link: 1 })

    expect(performed).toEqual([{ name: 'failed', error: new Error('our mistake') }])
  })

  it('is never stepped again, not even by a commit that was on its way', async () => {
    const log = broken(COMMIT)
    const post = drive(log, store({ commit: () => later(undefined) }), { perform: ignore, now: () => 0 })
    post(DUE)

    post({ name: 'closed', link: 1 })
    post(DUE)
    await turn()

    expect(log.names()).toEqual(['due', 'closed'])
  })
})
