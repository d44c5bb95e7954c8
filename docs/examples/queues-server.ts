import type { Mess } from '@messkit/sdk'
import { createQueue, stopOnSignals, type Worker } from '@messkit/sdk/queue'

interface Photo {
  readonly file: string
  readonly widths: readonly number[]
}

// #region page
/** In the page: `mess` has a `url`, a `user` and a `token`. */
export async function upload(mess: Mess, file: string): Promise<'disk' | 'memory'> {
  const thumbnails = createQueue<Photo>(mess, 'thumbnails')
  const job = thumbnails.enqueue({ file, widths: [160, 640] }) // returns at once, offline too
  job.then(({ id }) => console.debug(`the server has ${file} as job ${id}`))
  const { durability } = await job.stored
  return durability // 'disk' in a browser: it is sent, also if the browser is closed before that
}
// #endregion

// #region machine
/** In Node, in another tab, in a Web Worker: `mess` is a client of the same server, whose user may `work`. */
export function makeThumbnails(mess: Mess): Worker {
  const thumbnails = createQueue<Photo>(mess, 'thumbnails')
  return thumbnails.work(
    async ({ data, signal }) => {
      for (const width of data.widths) await resize(data.file, { width, to: `${data.file}.${width}.webp`, signal })
      console.log(`${data.file} is done`)
    },
    { concurrency: 4, leaseMs: 120_000 },
  )
}
// #endregion

// #region nightly
/** At each start of the program: a schedule that is there already goes on. */
export async function makeReports(mess: Mess): Promise<Worker> {
  const reports = createQueue<{ of: string }>(mess, 'reports')
  await reports.schedules.upsert('nightly', { cron: '30 2 * * *', timeZone: 'Europe/Berlin' }, { of: 'sales' })
  return reports.work(async ({ data, tick }) => {
    const until = tick?.at ?? new Date() // the time for which it was asked, however late it is now
    await report(data.of, until)
  })
}
// #endregion

// #region end
/** SIGTERM and SIGINT stop, a second one gives back what runs; SIGTSTP makes quiet, and SIGCONT goes on. */
export async function runUntilTold(mess: Mess, worker: Worker): Promise<void> {
  stopOnSignals(worker, { waitMs: 20_000 }) // what still runs after 20 s is given back
  await worker.done
  await mess.close()
}
// #endregion

/** Against a server that goes away and comes back. */
export async function tour(
  { page, machine }: { readonly page: Mess; readonly machine: Mess },
  server: { kill(): Promise<void>; restart(): Promise<void> },
): Promise<void> {
  const photos = createQueue<Photo>(machine, 'thumbnails')
  const reports = createQueue<{ of: string }>(machine, 'reports')
  const makers = [makeThumbnails(machine), await makeReports(machine)]

  await server.kill()
  console.log(await upload(page, 'cat.jpg'))
  // → memory
  await server.restart()
  await done(photos, page)
  // → cat.jpg is done

  await reports.schedules.runNow('nightly')
  await done(reports, page)
  // → a report of sales
  await Promise.all(makers.map((maker) => maker.stop()))
}

async function done(queue: Pick<ReturnType<typeof createQueue>, 'counts'>, mess: Mess): Promise<void> {
  for (;;) {
    const { unsent } = mess.status
    const { ready, retrying, active } = await queue.counts()
    if (unsent + ready + retrying + active === 0) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** An image library of your choice. */
async function resize(
  _: string,
  { signal }: { readonly width: number; readonly to: string; readonly signal: AbortSignal },
): Promise<void> {
  signal.throwIfAborted()
}

async function report(of: string, until: Date): Promise<void> {
  if (until.getTime() > 0) console.log(`a report of ${of}`)
}
