// #region start
import { createMess } from '@messkit/sdk'
import { createQueue } from '@messkit/sdk/queue'

interface Photo {
  readonly file: string
  readonly widths: readonly number[]
}

const mess = createMess()
const thumbnails = createQueue<Photo>(mess, 'thumbnails')

const { id } = await thumbnails.enqueue({ file: 'cat.jpg', widths: [160, 640] })
console.log(`stored as job ${id}`)

const worker = thumbnails.work(async (job) => {
  for (const width of job.data.widths) await resize(job.data.file, width)
  console.log(`${job.data.file} is done`)
})
// #endregion
await done(thumbnails)
// → stored as job 1
// → cat.jpg is done

// #region options
await thumbnails.enqueue(
  { file: 'dog.jpg', widths: [160] },
  {
    priority: 6, // 0 to 9, 9 goes first; 4 if you say nothing
    delayMs: 60_000, // or `runAt`, a Date
    attempts: 3, // in all; 5 if you say nothing
    backoff: { type: 'fixed', initialMs: 5_000 },
    ttlMs: 3_600_000, // not begun within an hour, nobody wants it any more: it is dead
    group: 'ana', // after whatever else waits in this group
  },
)
// #endregion

/** How often somebody was written to: what a mail server makes of it. */
const seen = new Map<string, number>()

interface Mail {
  readonly to: string
  readonly text: string
}

// #region mail
const mail = createQueue<Mail>(mess, 'mail', { attempts: 3, backoff: { initialMs: 20 } }) // real ones wait longer

const mailer = mail.work(
  async (job) => {
    const answer = await send(job.data, { key: `mail-${job.id}`, signal: job.signal })
    if (answer === 'no such mailbox')
      job.bury(answer) // another attempt would not help
    else if (answer === 'slow down')
      job.retry({ delayMs: 30, reason: answer }) // not before that
    else console.log(`sent to ${job.data.to}, attempt ${job.attempt}`)
  },
  {
    concurrency: 10,
    leaseMs: 30_000,
    onError: ({ cause }, { attempt }) => console.log(`attempt ${attempt}: ${(cause as Error).message}`),
  },
)

await mail.enqueueMany([
  { to: 'ana', text: 'hello' },
  { to: 'nobody', text: 'hello' },
])
// #endregion
await done(mail)
// → attempt 1: connection refused
// → sent to ana, attempt 2

// #region dead
const { jobs } = await mail.dead()
for (const { id, data, error } of jobs) console.log(`${id} to ${(data as Mail).to}: ${error}`)

await mail.redrive(jobs.map(({ id }) => id)) // once the reason is gone: they wait again, with all their attempts
// #endregion
await done(mail)
// → 2 to nobody: no such mailbox
// → sent to nobody, attempt 1

// #region group
const accounts = createQueue<string>(mess, 'accounts', { backoff: { initialMs: 20 } })
await accounts.enqueueMany(['open', 'pay in', 'close'], { group: 'ana' })

const clerk = accounts.work(
  ({ data, attempt }) => {
    if (data === 'open' && attempt === 1) throw new Error('no paper')
    console.log(`${data}, attempt ${attempt}`)
  },
  { concurrency: 10, onError: ({ cause }) => console.log((cause as Error).message) },
)
// #endregion
await done(accounts)
// → no paper
// → open, attempt 2
// → pay in, attempt 1
// → close, attempt 1

// #region pause
await mail.pause() // nobody is given a job; what is held is finished
await mail.enqueue({ to: 'bo', text: 'the newsletter' }, { priority: 1 })
await mail.enqueue({ to: 'cy', text: 'reset your password' }, { priority: 9 })

await mail.limit({ concurrency: 50, rate: { count: 100, periodMs: 60_000 } }) // all workers together
await mail.resume()
// #endregion
await done(mail)

// → sent to cy, attempt 1
// → sent to bo, attempt 1

// #region many
import { work } from '@messkit/sdk/queue'

const critical = createQueue<string>(mess, 'critical')
const shop = createQueue<string>(mess, 'shop/orders')
const imports = createQueue<string>(mess, 'low/imports')
await imports.enqueue('last year')
await shop.enqueue('order 7')
await critical.enqueue('unlock the door')

const butler = work<string>(mess, ['critical', 'shop/*', 'low/*', '!mail'], (job, queue) => {
  console.log(`${queue}: ${job.data}`)
})
// #endregion
await Promise.all([critical, shop, imports].map(done))
// → critical: unlock the door
// → shop/orders: order 7
// → low/imports: last year

// #region manage
const { ready, scheduled, retrying, active, dead } = await thumbnails.counts()
console.log(`${ready} ready, ${scheduled} scheduled, ${retrying} retrying, ${active} active, ${dead} dead`)

const [dog] = await thumbnails.search({ text: 'dog.jpg' })
if (dog) await thumbnails.promote([dog.id]) // it waits for its time no more

await mail.bulk.redrive({ error: 'slow down' }) // all dead ones that failed with this
await mail.bulk.cancel({ state: 'scheduled', text: '"bo"' })
// #endregion
await done(thumbnails)
// → 0 ready, 1 scheduled, 0 retrying, 0 active, 0 dead
// → dog.jpg is done

// #region stop
await worker.stop() // what runs is finished, what was not begun goes back
await mailer.stop({ waitMs: 5_000 }) // what runs longer is told by `job.signal`, and its jobs go back
await mess.close({ waitMs: 5_000 }) // stops all others the same way
// #endregion
if (butler.running + clerk.running > 0) throw new Error('a worker runs on')

async function send({ to }: Mail, _: { readonly key: string; readonly signal: AbortSignal }): Promise<string> {
  const count = (seen.get(to) ?? 0) + 1
  seen.set(to, count)
  if (to === 'ana' && count === 1) throw new Error('connection refused')
  return to === 'nobody' && count === 1 ? 'no such mailbox' : 'ok'
}

async function resize(_: string, width: number): Promise<void> {
  if (width > 10_000) throw new Error('too wide')
}

/** Resolves when nothing of a queue waits for a worker. */
async function done(queue: Pick<typeof mail, 'counts'>): Promise<void> {
  for (;;) {
    const { ready, retrying, active } = await queue.counts()
    if (ready + retrying + active === 0) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
