import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { DeliverParams, GapParams } from '../protocol/frames/deliver.ts'
import { HelloResult } from '../protocol/frames/hello.ts'
import { HistoryResult } from '../protocol/frames/history.ts'
import { PublishResult } from '../protocol/frames/publish.ts'
import { SubscribeResult } from '../protocol/frames/subscribe.ts'
import { ANNOUNCED_LIMITS } from '../protocol/limits.ts'
import { isDeliver, isGap, isHello, isHistory, isPublished, isSubscribed } from './guards.ts'

const CURSOR = '0mwrkxlufryt5fk4_0000000000000003'
const RANGE = { first: 3, next: 5, runs: [['publisher', 1, 2, 1_700_000_000_000]], messages: [{}, 1] }

/** Each guard, its schema, a frame that both take, and the fields on which the client relies. */
const PAIRS = [
  {
    name: 'hello',
    guard: isHello,
    schema: HelloResult,
    good: { version: 1, limits: Object.fromEntries(ANNOUNCED_LIMITS.map((name) => [name, 1])), nowMs: 1, features: [] },
    needed: ['version', 'limits'],
  },
  {
    name: 'subscribe',
    guard: isSubscribed,
    schema: SubscribeResult,
    good: { cursor: CURSOR, head: 7 },
    needed: ['cursor', 'head'],
  },
  {
    name: 'deliver',
    guard: isDeliver,
    schema: DeliverParams,
    good: { subscription: 1, through: 900, ...RANGE },
    needed: ['first', 'next', 'through', 'runs', 'messages'],
  },
  {
    name: 'gap',
    guard: isGap,
    schema: GapParams,
    good: { subscription: 1, from: 3, to: 9, through: 900, reason: 'retention' },
    needed: ['subscription', 'from', 'to', 'through'],
  },
  {
    name: 'history',
    guard: isHistory,
    schema: HistoryResult,
    good: { epoch: '0mwrkxlufryt5fk4', more: false, ...RANGE },
    needed: ['epoch', 'first', 'next', 'runs', 'messages'],
  },
  {
    name: 'publish',
    guard: isPublished,
    schema: PublishResult,
    good: { epoch: '0mwrkxlufryt5fk4', fates: [{ fate: 'stored', first: 1, count: 2, offset: 0 }] },
    needed: ['epoch', 'fates'],
  },
]

describe('guards of server frames', () => {
  for (const { name, guard, schema, good, needed } of PAIRS) {
    it(`takes the ${name} that its schema takes`, () => {
      expect(v.safeParse(schema, good).success).toBe(true)
      expect(guard(good)).toBe(true)
    })

    it(`refuses a ${name} that lacks what the client relies on, as its schema does`, () => {
      for (const field of needed) {
        for (const wrong of [undefined, null, 'x', -1, 1.5, {}]) {
          const bad = { ...good, [field]: wrong }
          // Text may be a good epoch; anything that the schema refuses in a needed field, the guard must refuse, too.
          if (!v.safeParse(schema, bad).success) expect(guard(bad), `${field}: ${wrong}`).toBe(false)
        }
      }
    })

    it(`refuses what is no ${name} at all`, () => {
      for (const wrong of [undefined, null, 1, 'text', []]) expect(guard(wrong)).toBe(false)
    })
  }
})
