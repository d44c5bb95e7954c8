import type { OutboxEntry } from '@messkit/sdk'
import { expect, test } from 'vitest'
import type { Sent } from './outgoing.ts'
import { inSendOrder } from './waiting.ts'

const sent = (id: string): Sent => ({
  id,
  topic: 'galley',
  text: `own ${id}`,
  sentAtMs: 0,
  safeOn: 'disk',
  ack: undefined,
})
const entry = (id: string, state: OutboxEntry['state'] = 'waiting'): OutboxEntry => ({
  id,
  topic: 'galley',
  state,
  error: undefined,
})
const facts = { textOf: (id: string) => `draft ${id}`, storage: 'disk' } as const

test('lists what waits in the order of the outbox, whichever tab wrote it', () => {
  const waiting = inSendOrder([sent('b')], [entry('a'), entry('b'), entry('c')], facts)

  expect(waiting.map(({ text }) => text)).toEqual(['draft a', 'own b', 'draft c'])
})

test('puts what was written since at the end', () => {
  const waiting = inSendOrder([sent('b'), sent('z')], [entry('a'), entry('b')], facts)

  expect(waiting.map(({ id }) => id)).toEqual(['a', 'b', 'z'])
})

test('leaves out what was refused: it waits for a person', () => {
  expect(inSendOrder([], [entry('a', 'refused'), entry('b')], facts).map(({ id }) => id)).toEqual(['b'])
})
