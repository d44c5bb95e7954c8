// #region tabs
import { createMess } from '@messkit/sdk'
import { createQueue, type Worker } from '@messkit/sdk/queue'

const mess = createMess({ name: 'photos' }) // no `url`: the queue lies in this browser, for all tabs
const thumbnails = createQueue<{ file: string }>(mess, 'thumbnails')

export async function choose(file: string): Promise<'disk' | 'memory'> {
  const { durability } = await thumbnails.enqueue({ file }).stored
  return durability // 'disk': it is there after the browser was closed
}

/** In every tab: each gets jobs, and no two of them the same one. */
export function help(make: (file: string) => Promise<void>): Worker {
  return thumbnails.work(({ data }) => make(data.file))
}
// #endregion
