import type { BulkParams, BulkResult, JobFilter, ListResult } from '../protocol/frames/queue.ts'
import type { WorkersResult } from '../protocol/frames/workers.ts'
import type {
  BulkFilter,
  JobPage,
  JobPlace,
  JobSearch,
  JobState,
  JobView,
  PageOptions,
  Queue,
  WorkerView,
} from './queue.ts'
import type { QueueSide } from './queue-side.ts'

/** Looking at jobs and doing something to some of them, or to a queue: loaded by whoever does it first. */

type Action = BulkParams['action']

type Management = Pick<
  Queue<never>,
  | 'workers'
  | 'list'
  | 'dead'
  | 'search'
  | 'redrive'
  | 'cancel'
  | 'promote'
  | 'bulk'
  | 'clear'
  | 'pause'
  | 'resume'
  | 'limit'
>

export function managementOf(side: QueueSide): Management {
  const many =
    (action: Action) =>
    (filter?: BulkFilter): Promise<number> =>
      bulk(side, action, filter)
  const setPaused = async (paused: boolean): Promise<void> => {
    await side.answer('pause', { paused })
  }
  return {
    workers: () => workersOf(side),
    list: (state, page) => list(side, state, page),
    dead: (page) => list(side, 'dead', page),
    search: (what) => search(side, what),
    redrive: (ids) => redrive(side, ids),
    cancel: async (ids) => (await side.answer<{ cancelled: number }>('cancel', { ids })).cancelled,
    promote: async (ids) => (await side.answer<{ promoted: number }>('promote', { ids })).promoted,
    bulk: { redrive: many('redrive'), cancel: many('cancel'), promote: many('promote'), retry: many('retry') },
    clear: () => bulk(side, 'cancel', { state: 'dead' }),
    pause: () => setPaused(true),
    resume: () => setPaused(false),
    limit: async ({ concurrency, rate }) => {
      await side.answer('limit', { concurrency, rate })
    },
  }
}

const PAGE = 100
/** `messagesPerFrame` of client-limits.ts, whose others it would load. */
const MOST = 1_000
const SEARCHED: readonly JobState[] = ['active', 'ready', 'scheduled', 'retrying', 'dead', 'completed']

const wireFilter = ({ text, group, error, enqueuedFrom, enqueuedTo }: JobSearch): JobFilter | undefined => {
  const filter = {
    ...(text !== undefined && { text }),
    ...(group !== undefined && { group }),
    ...(error !== undefined && { error }),
    ...(enqueuedFrom && { enqueuedFrom: enqueuedFrom.getTime() }),
    ...(enqueuedTo && { enqueuedTo: enqueuedTo.getTime() }),
  }
  return Object.keys(filter).length > 0 ? filter : undefined
}

async function list(
  side: QueueSide,
  state: JobState,
  { after, limit = PAGE, ...search }: PageOptions = {},
): Promise<JobPage> {
  const filter = wireFilter(search)
  const params = { state, limit, ...(filter && { filter }), ...(after && { after }) }
  const { jobs, messages, next } = await side.answer<ListResult>('list', params)
  return {
    jobs: jobs.map(
      ({ id, enqueuedAt, dueAt, attempt, losses, error, group, worker, untilMs, result, log = [] }, i) => ({
        id,
        data: messages[i],
        enqueuedAt: new Date(enqueuedAt),
        dueAt: dueAt === 0 ? undefined : new Date(dueAt),
        failures: attempt,
        losses,
        error,
        group,
        worker,
        leasedUntil: untilMs === undefined ? undefined : new Date(untilMs),
        result: result === undefined ? undefined : JSON.parse(result),
        log,
        state,
      }),
    ),
    next: next as JobPlace | undefined,
  }
}

async function search(
  side: QueueSide,
  { state, limit = PAGE, ...what }: JobSearch & { readonly state?: JobState; readonly limit?: number },
): Promise<JobView[]> {
  const found = new Map<number, JobView>()
  for (const one of state ? [state] : SEARCHED) {
    let after: JobPlace | undefined
    do {
      const most = Math.min(limit - found.size, MOST)
      const page = await list(side, one, { ...what, limit: most, ...(after && { after }) })
      for (const job of page.jobs) if (!found.has(job.id)) found.set(job.id, job)
      after = page.next
    } while (after && found.size < limit)
    if (found.size >= limit) break
  }
  return [...found.values()]
}

/** Piece by piece, each of which is asked for again on the next link if its answer was lost. */
async function bulk(side: QueueSide, action: Action, { state, ...what }: BulkFilter = {}): Promise<number> {
  const filter = wireFilter(what)
  const params = { action, ...(state && { state }), ...(filter && { filter }) }
  let count = 0
  let more: Partial<BulkResult> & { after?: BulkResult['next'] } = {}
  for (;;) {
    const piece = await side.answer<BulkResult>('bulk', { ...params, ...more })
    count += piece.count
    if (!piece.next) return count
    more = { snapshot: piece.snapshot, after: piece.next }
  }
}

async function redrive(side: QueueSide, ids: readonly number[] | undefined): Promise<number> {
  if (!ids) return bulk(side, 'redrive')
  return (await side.answer<{ redriven: number }>('redrive', { ids })).redriven
}

async function workersOf(side: QueueSide): Promise<WorkerView[]> {
  const workers: WorkerView[] = []
  let after: string | undefined
  do {
    const page = await side.answer<WorkersResult>('workers', after === undefined ? {} : { after })
    for (const { worker, user, about, since, quiet = false, goneAt, jobs, ...facts } of page.workers)
      workers.push({
        name: worker,
        user,
        kind: about?.kind,
        host: about?.host,
        pid: about?.pid,
        since: new Date(since),
        quiet,
        goneSince: goneAt === undefined ? undefined : new Date(goneAt),
        jobs: jobs.map(([id, from, until]) => ({ id, since: new Date(from), until: new Date(until) })),
        ...facts,
      })
    after = page.next
  } while (after !== undefined)
  return workers
}
