import { onSignals } from '../platform.ts'
import type { Worker } from './worker.ts'

/**
 * What the signals of a process do to its workers, in Node: SIGTERM and SIGINT stop them, so that jobs in hand are finished, and a second one
 * gives back whatever still runs; SIGTSTP makes them quiet and SIGCONT ends that. A signal does nothing else then: the process ends by itself
 * once nothing is open in it, so close its clients when `worker.done` resolves. Where a process has no signals this does nothing.
 * @param how.waitMs give back what is not done so many ms after the first signal. Default: wait for it
 * @returns what takes the listeners away, which the end of all these workers does, too
 */
export function stopOnSignals(workers: Worker | readonly Worker[], how: { readonly waitMs?: number } = {}): () => void {
  const all = [workers].flat() as readonly Worker[]
  let stopping = false
  const end = onSignals(['SIGTERM', 'SIGINT', 'SIGTSTP', 'SIGCONT'], (signal) => {
    if (signal === 'SIGTSTP') for (const worker of all) worker.quiet()
    else if (signal === 'SIGCONT') for (const worker of all) worker.resume()
    else {
      for (const worker of all) void worker.stop(stopping ? { waitMs: 0 } : how)
      stopping = true
    }
  })
  void Promise.all(all.map(({ done }) => done)).then(end, end)
  return end
}
