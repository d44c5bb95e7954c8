import { createMess } from '@messkit/sdk'
import { createQueue } from '@messkit/sdk/queue'

const mess = createMess()

// #region key
const search = createQueue<{ product: number }>(mess, 'search-index')
const first = await search.enqueue({ product: 7 }, { dedupe: { key: 'product-7' } })
const again = await search.enqueue({ product: 7 }, { dedupe: { key: 'product-7' } }) // the first one is not over
console.log(`${again.duplicate}, ${again.id === first.id}`)
// #endregion
// → true, true

// #region result
const films = createQueue<{ file: string }>(mess, 'films', { retain: { ms: 3_600_000 } })

const worker = films.work(async (job) => {
  const done = (job.state as number | undefined) ?? 0 // what an attempt before has kept
  for (let part = done; part < 3; part++) {
    await convert(job.data.file, part)
    await job.checkpoint(part + 1) // durable: another attempt goes on from here
    job.progress({ done: part + 1, of: 3 }) // to whoever watches
  }
  return { seconds: 90 } // the job's result
})

const film = await films.enqueue({ file: 'cat.mp4' })
const { seconds } = (await film.result()) as { seconds: number } // or rejects: `job_dead`, `job_expired`, `job_cancelled`
console.log(`${seconds} s`)
// #endregion
// → 90 s

await worker.stop()
await mess.close()

async function convert(_: string, part: number): Promise<void> {
  if (part > 3) throw new Error('too far')
}
