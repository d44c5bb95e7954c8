import { expect, it, onTestFinished, vi } from 'vitest'
import { createMess } from '../index.ts'
import { createQueue } from '../queue.ts'
import { JobWatch } from './job-watch.ts'
import { QueueSide } from './queue-side.ts'

it('asks no more, on this link or the next, once nobody waits for a job', async () => {
  const mess = createMess({ storage: 'memory', tabs: false })
  onTestFinished(async () => void (await mess.close()))
  const jobs = await createQueue<string>(mess, 'mail/out').enqueueMany(['a', 'b'], { delayMs: 60_000 })
  const side = new QueueSide(mess, 'mail/out')
  const [ask, unask] = [vi.spyOn(side, 'ask'), vi.spyOn(side, 'unask')]
  const watch = new JobWatch(side)
  const [first, second] = [new AbortController(), new AbortController()]

  const results = [watch.result(jobs[0]?.id, first.signal), watch.result(jobs[1]?.id, second.signal)]
  await vi.waitFor(() => expect(ask).toHaveBeenCalled())
  const asking = ask.mock.calls.flatMap(([by]) => (by.method === 'watch' ? [by] : []))
  expect(asking).toHaveLength(1)
  first.abort(new Error('enough'))
  await expect(results[0]).rejects.toThrow('enough')
  expect(unask).not.toHaveBeenCalledWith(asking[0])
  second.abort(new Error('enough'))
  await expect(results[1]).rejects.toThrow('enough')

  expect(unask).toHaveBeenCalledWith(asking[0])
})
