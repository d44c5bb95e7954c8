import { openSync, writeSync } from 'node:fs'
import { createMess } from '@messkit/sdk'
import { type Note, Reader, Writer } from '../support/actors.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { makeToken } from '../support/server.ts'
import { stamp } from './recorder.ts'

/** A client in a process of its own: one writer and one reader. It writes each event to a file before anything follows from it. */

export interface ChildOrders {
  readonly url: string
  readonly topic: string
  readonly name: string
  readonly file: string
  readonly inFlight: number
  readonly pad: string
}
export type ToChild = { readonly start: ChildOrders } | { readonly finish: true } | { readonly reach: number }
export type FromChild = 'ready' | 'started' | 'finished' | 'reached'

const say = (word: FromChild): void => void process.send?.(word)
let writer: Writer
let reader: Reader
let filling: NodeJS.Timeout

process.on('message', async (order: ToChild) => {
  if ('start' in order) {
    await start(order.start)
    say('started')
  } else if ('finish' in order) {
    clearInterval(filling)
    await writer.finish()
    say('finished')
  } else {
    await reader.reached(order.reach)
    say('reached')
  }
})
// Whoever started us is gone.
process.on('disconnect', () => process.exit())
say('ready')

async function start({ url, topic: name, name: by, file, inFlight, pad }: ChildOrders): Promise<void> {
  const fd = openSync(file, 'a')
  const recorder = {
    // What is in the file survives our end, however it comes.
    push: (event: HistoryEvent) => writeSync(fd, `${JSON.stringify([stamp(), event])}\n`),
  }
  const mess = createMess({ url, token: () => makeToken(), reconnect: { minMs: 1, maxMs: 20 } })
  const topic = mess.topic<Note>(name)
  reader = await Reader.start(topic, recorder, { name: `${by} reads`, from: 'start' })
  writer = new Writer(topic, by, recorder, () => pad)
  filling = setInterval(() => writer.keepInFlight(inFlight, 20), 10)
}
