import { createMess } from '@messkit/sdk'
import { createQueue, stopOnSignals } from '@messkit/sdk/queue'
import { makeToken } from '../support/server.ts'

/** A program that works on a queue, as one is written for a process manager. Its handlers end when its parent lets them. */

const [url, name] = process.argv.slice(2) as [string, string]
const say = (what: string): void => void process.send?.(what)

const mess = createMess({ url, token: () => makeToken(), reconnect: { minMs: 1, maxMs: 20 } })
const worker = createQueue(mess, name).work(async ({ data }) => {
  say(`began ${data}`)
  await new Promise((resolve) => process.once('message', resolve))
})
stopOnSignals(worker)
// Whoever started us is gone.
process.on('disconnect', () => process.exit(2))
await worker.done
await mess.close()
// Nothing else keeps this process.
process.channel?.unref()
say('closed')
