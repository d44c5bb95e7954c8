// What a receipt costs its publisher: one that makes its promise when it is asked for, against a promise made for every message.
// `node bench/receipt.ts` prints nanoseconds a message, for receipts that nobody looks at, that get a `then`, and that are awaited.
import { type Ack, PendingReceipt } from '../packages/sdk/src/client/receipt.ts'
import { makeCursor } from '../packages/sdk/src/protocol/cursor.ts'
import { median } from './harness/median.ts'

interface Kind {
  make(sequence: number): PromiseLike<Ack>
  settle(receipt: PromiseLike<Ack>, offset: number): void
}

const EPOCH = '0mi8zq4k0abcdefg'
const MESSAGES = 500_000
const IN_FLIGHT = 1_000
const ROUNDS = 7

const stored = Promise.resolve({ durability: 'memory' } as const)

const lazy: Kind = {
  make: (sequence) => {
    const receipt = new PendingReceipt('publisher', sequence)
    receipt.stored = stored
    return receipt as unknown as PromiseLike<Ack>
  },
  settle: (receipt, offset) => (receipt as unknown as PendingReceipt).ack(offset, false, EPOCH),
}

/** A subclass, which is what a promise with an `id` and a `stored` would have to be. */
class EagerReceipt extends Promise<Ack> {
  static override readonly [Symbol.species] = Promise
  resolve!: (ack: Ack) => void
  reject!: (error: Error) => void
  origin = ''
  number = 0
}
let resolveNext: (ack: Ack) => void
let rejectNext: (error: Error) => void
const capture = (resolve: (ack: Ack) => void, reject: (error: Error) => void): void => {
  resolveNext = resolve
  rejectNext = reject
}
const eager: Kind = {
  make(sequence) {
    const receipt = new EagerReceipt(capture)
    receipt.resolve = resolveNext
    receipt.reject = rejectNext
    receipt.origin = 'publisher'
    receipt.number = sequence
    return receipt
  },
  settle: (receipt, offset) =>
    (receipt as EagerReceipt).resolve({ duplicate: false, offset, cursor: makeCursor(EPOCH, offset + 1) }),
}

const LOOKS: Record<string, (receipt: PromiseLike<Ack>) => unknown> = {
  'nobody looks': () => {},
  'a then': (receipt) => receipt.then(count),
  'an await': async (receipt) => count(await receipt),
}
let counted = 0
function count(_ack: Ack): void {
  counted++
}

async function measure(kind: Kind, look: (receipt: PromiseLike<Ack>) => unknown): Promise<number> {
  const startedAt = performance.now()
  for (let first = 0; first < MESSAGES; first += IN_FLIGHT) {
    const receipts: PromiseLike<Ack>[] = []
    for (let i = 0; i < IN_FLIGHT; i++) {
      const receipt = kind.make(first + i)
      receipts.push(receipt)
      look(receipt)
    }
    await null // as a frame goes out
    for (const [i, receipt] of receipts.entries()) kind.settle(receipt, first + i)
    await null
  }
  await new Promise(setImmediate)
  return ((performance.now() - startedAt) / MESSAGES) * 1e6
}

for (const [name, look] of Object.entries(LOOKS)) {
  const nanoseconds: Record<'lazy' | 'eager', number[]> = { lazy: [], eager: [] }
  for (let round = 0; round < ROUNDS; round++) {
    nanoseconds.lazy.push(await measure(lazy, look))
    nanoseconds.eager.push(await measure(eager, look))
  }
  const [ofLazy, ofEager] = [median(nanoseconds.lazy), median(nanoseconds.eager)].map(Math.round)
  console.log(`${name.padEnd(12)}  lazy ${String(ofLazy).padStart(5)} ns   eager ${String(ofEager).padStart(5)} ns`)
}
if (counted === 0) throw new Error('nothing was awaited')
