import { createMess } from '@messkit/sdk'
import { createQueue } from '@messkit/sdk/queue'

const mess = createMess()
mess.on('error', () => {}) // the one that fails here is meant to

// #region hooks
interface Mail {
  readonly to: string
}

const mail = createQueue<Mail>(mess, 'mail', {
  hooks: {
    beforeEnqueue: ({ to }) => to.includes('@'), // `false`, or to throw, refuses it: `enqueue_refused`
    afterEnqueue: ({ id }, { to }) => console.log(`job ${id} is for ${to}`), // it is durable
  },
})

const mailer = mail.work(send, {
  hooks: {
    before: (job) => job.data !== null, // `false` leaves the handler out
    around: (job, handle) => timed(`job ${job.id}`, handle), // what `handle()` returns is the job's result, whatever this returns
    after: (job, result) => console.log(`job ${job.id}: ${result}`),
    failed: (job, error) => console.log(`job ${job.id}, attempt ${job.attempt}: ${error}`),
  },
})
// #endregion

const job = await mail.enqueue({ to: 'ana@example.com' })
await job.result()
// → job 1 is for ana@example.com
// → job 1 took its time
// → job 1: sent

await mailer.stop()

// #region inline
const log: string[] = []
const tested = createQueue<Mail>(createMess({ tabs: false }), 'mail', { inline: (job) => log.push(job.data.to) })

await tested.enqueue({ to: 'ana' }, { delayMs: 3_600_000 }) // over when it resolves; nothing waits
console.log(log.join())
// #endregion
// → ana

await mess.close()

async function send(): Promise<string> {
  return 'sent'
}

async function timed(what: string, run: () => Promise<unknown>): Promise<void> {
  await run()
  console.log(`${what} took its time`)
}
