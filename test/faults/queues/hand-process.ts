import { openSync, writeSync } from 'node:fs'
import { pause, tokenOf } from '../client.ts'
import { stamp } from '../recorder.ts'
import type { QueueEvent } from './events.ts'
import { Hand, type HandOrders } from './hand.ts'

/** A worker in a process of its own. It writes each event to a file before anything follows from it. */

export type HandOrder = { readonly start: HandOrders & { readonly file: string } } | { readonly rest: true }
export type HandAnswer = 'ready' | 'started' | 'rested'

const say = (word: HandAnswer): void => void process.send?.(word)
let hand: Hand

process.on('message', async (order: HandOrder) => {
  if ('start' in order) {
    const { file, ...orders } = order.start
    const fd = openSync(file, 'a')
    const push = (event: QueueEvent): void => void writeSync(fd, `${JSON.stringify([stamp(), event])}\n`)
    hand = new Hand({ ...orders, push, token: () => tokenOf(orders.name) })
    say('started')
  } else {
    while (hand.running > 0) await pause(10)
    say('rested')
  }
})
// Whoever started us is gone.
process.on('disconnect', () => process.exit())
say('ready')
