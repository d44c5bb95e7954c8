// #region start
import { createMess } from '@messkit/sdk'
import { createQueue } from '@messkit/sdk/queue'

const mess = createMess({ tabs: false })
const reports = createQueue<{ of: string }>(mess, 'reports')

await reports.schedules.upsert(
  'nightly-sales',
  { cron: '30 2 * * *', timeZone: 'Europe/Berlin', description: 'Sales of the day before' },
  { of: 'sales' },
  { attempts: 3 },
)
// #endregion

// #region period
await reports.schedules.upsert('stock', { everyMs: 15 * 60_000, missed: 'skip', overlap: 'skip' }, { of: 'stock' })
// #endregion

// #region work
const worker = reports.work(async (job) => {
  // The time for which it was to be added, however late that was: a report of yesterday stays one.
  const at = job.tick?.at ?? job.enqueuedAt
  console.log(`${job.data.of}, asked for by ${job.tick?.schedule}`)
  await write(job.data.of, at)
})
// #endregion

const done = Promise.withResolvers<void>()
async function write(_: string, at: Date): Promise<void> {
  if (Number.isNaN(at.getTime())) throw new Error('a report needs a day')
  done.resolve()
}

// #region manage
const id = await reports.schedules.runNow('nightly-sales') // beside its ticks
await reports.schedules.pause('stock') // ticks that come meanwhile are left out
await reports.schedules.resume('stock')
for (const { id, cron, everyMs, jobCount } of await reports.schedules.list())
  console.log(`${id}: ${cron ?? `every ${everyMs} ms`}, ${jobCount} so far`)
await reports.schedules.remove('stock')
// #endregion

await done.promise
// → sales, asked for by nightly-sales
// → nightly-sales: 30 2 * * *, 1 so far
// → stock: every 900000 ms, 0 so far

// #region refused
try {
  await reports.schedules.upsert('never', { cron: '0 0 31 6 *' }, { of: 'sales' })
} catch (error) {
  console.log((error as Error).message)
}
// #endregion
// → no tick would ever come

await worker.stop()
await mess.close()
if (id === undefined) throw new Error('nothing was run')
