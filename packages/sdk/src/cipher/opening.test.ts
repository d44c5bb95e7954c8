import { expect, test } from 'vitest'
import type { Received } from '../client/message.ts'
import { makeCursor } from '../protocol/cursor.ts'
import { aesGcm } from './aes-gcm.ts'
import type { Cipher } from './cipher.ts'
import { unsealed } from './envelope.ts'
import { contentOf, type Opening, opening } from './opening.ts'

const EPOCHS = ['0mi8zq4k0abcdefg', '0mi8zq4k0hijklmn'] as const
const cipher = aesGcm({ keys: new Map([['k', new Uint8Array(32)]]), current: 'k' })

const seal = async (data: unknown): Promise<unknown> =>
  JSON.parse(await unsealed(cipher, { topic: 't', key: undefined }, undefined, JSON.stringify(data)).seal())

const range = (first: number, ...messages: unknown[]): Received => ({
  first,
  next: first + messages.length,
  runs: [['publisher', first + 1, messages.length, 0]],
  messages,
})

/** A cipher whose n-th opening waits until it is let go. */
function held(): { cipher: Cipher; readonly asked: number; readonly opened: number; letGo(n: number): void } {
  const gates: PromiseWithResolvers<void>[] = []
  let opened = 0
  return {
    get asked() {
      return gates.length
    },
    get opened() {
      return opened
    },
    letGo: (n) => gates[n]?.resolve(),
    cipher: {
      ...cipher,
      async open(...args) {
        const gate = Promise.withResolvers<void>()
        gates.push(gate)
        await gate.promise
        const plain = await cipher.open(...args)
        opened++
        return plain
      },
    },
  }
}

/** Writes down what it is told, in order. */
function listener() {
  const told: unknown[] = []
  return {
    told,
    started: () => void told.push('started'),
    batch: ({ first }: Received, _epoch: string) => void told.push(first),
    gap: () => void told.push('gap'),
  }
}

/** Until nothing is left that could run by itself. */
const quiet = () => new Promise((resolve) => setImmediate(resolve))

test('what is received is handed on in order, however long each takes to open', async () => {
  const all = held()
  const target = listener()
  const reader = opening(all.cipher, 't').inOrder(target)

  reader.started()
  reader.batch(range(0, await seal('a')), EPOCHS[0])
  reader.gap()
  reader.batch(range(1, await seal('b')), EPOCHS[0])
  all.letGo(1)
  await expect.poll(() => all.opened).toBe(1)
  await quiet()
  expect(target.told).toEqual(['started'])
  all.letGo(0)

  await expect.poll(() => target.told).toEqual(['started', 0, 'gap', 1])
})

test('side by side are opened those of one range, and of ranges that are received meanwhile', async () => {
  const all = held()
  const reader = opening(all.cipher, 't').inOrder(listener())

  reader.batch(range(0, await seal('a'), await seal('b')), EPOCHS[0])
  reader.batch(range(2, await seal('c')), EPOCHS[0])

  expect(all.asked).toBe(3)
})

test('nothing is handed on once it was stopped', async () => {
  const all = held()
  const target = listener()
  const { inOrder, stop } = opening(all.cipher, 't')
  inOrder(target).batch(range(0, await seal('a')), EPOCHS[0])

  stop()
  all.letGo(0)

  await expect.poll(() => all.opened).toBe(1)
  await quiet()
  expect(target.told).toEqual([])
})

test('a listener that throws holds up nothing', async () => {
  const target = listener()
  const reader = opening(cipher, 't').inOrder({
    ...target,
    gap() {
      throw new Error('by the listener')
    },
  })
  const complained = new Promise((resolve) => {
    const { error } = console
    console.error = (cause: unknown) => {
      console.error = error
      resolve(cause)
    }
  })

  reader.gap()
  reader.started()

  await expect.poll(() => target.told).toEqual(['started'])
  expect(await complained).toMatchObject({ message: 'by the listener' })
})

test('a range whose runs are no runs is handed on as it is', async () => {
  const target = listener()
  const reader = opening(cipher, 't').inOrder(target)

  reader.batch({ ...range(0, await seal('a')), runs: [null as never] }, EPOCHS[0])

  await expect.poll(() => target.told).toEqual([0])
})

test('a repeat is one at another offset of the same log; in another log, and for another reader, it is new', async () => {
  const raw = await seal('a')
  const reader = opening(cipher, 't')

  expect(await read(reader, raw, EPOCHS[0], 3)).toBe('a')
  expect(await read(reader, raw, EPOCHS[0], 3)).toBe('a')
  await expect(read(reader, raw, EPOCHS[0], 4)).rejects.toMatchObject({ code: 'cipher_replayed' })
  expect(await read(opening(cipher, 't'), raw, EPOCHS[0], 4)).toBe('a')
  expect(await read(reader, raw, EPOCHS[1], 0)).toBe('a')
  await expect(read(reader, raw, EPOCHS[1], 1)).rejects.toMatchObject({ code: 'cipher_replayed' })
})

/** As a frame brings it: parsed anew each time. */
async function read(reader: Opening, raw: unknown, epoch: string, offset: number): Promise<unknown> {
  const copy = structuredClone(raw)
  await reader.open(range(offset, copy), epoch)
  return contentOf(copy, { cursor: makeCursor(epoch, offset + 1) })?.data
}
