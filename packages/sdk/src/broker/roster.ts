import type { About, WorkerFacts, WorkersResult } from '../protocol/frames/workers.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Held } from './jobs.ts'
import { isPull, nameIn } from './pulls.ts'
import type { Allowed } from './rights.ts'

/** What a queue knows of somebody who takes jobs. */
export interface Known {
  readonly key: string
  readonly name: string
  readonly sinceMs: number
  user: string | undefined
  about: About | undefined
  link: number | undefined
  capacity: number
  quiet: boolean
  holding: number
  goneAt: number
}

/** Whether it has said that it wants no more, and holds nothing: that is how a worker ends. */
export const hasEnded = ({ capacity, holding, quiet }: Known): boolean => capacity === 0 && holding === 0 && !quiet

/**
 * Workers that are gone and hold nothing, so that they can be shown, and known again, until their grace ends. Nobody is woken for them: they are
 * forgotten when somebody looks, or more of them have gone.
 */
export class Gone<W extends Known> {
  readonly #workers = new Map<string, W>()

  add(worker: W): void {
    if (hasEnded(worker)) return
    this.#workers.delete(worker.key)
    this.#workers.set(worker.key, worker)
    const [first] = this.#workers.keys()
    if (this.#workers.size > LIMITS.goneWorkers && first !== undefined) this.#workers.delete(first)
  }

  /** It is back. */
  take(key: string, nowMs: number): W | undefined {
    const worker = this.#workers.get(key)
    this.#workers.delete(key)
    return worker && isLate(worker, nowMs) ? undefined : worker
  }

  all(nowMs: number): Iterable<W> {
    for (const worker of this.#workers.values()) if (isLate(worker, nowMs)) this.#workers.delete(worker.key)
    return this.#workers.values()
  }
}

/** Also where the clock was put back. */
const isLate = ({ goneAt }: Known, nowMs: number): boolean => Math.abs(nowMs - goneAt) >= LIMITS.workerGraceMs

interface Asked {
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/** One page of those who work, by their keys: those with a link, those who have gone, and who claimed jobs without one. */
export function pageOfWorkers(
  _: Allowed<'view'>,
  workers: Iterable<Known>,
  held: Iterable<Held>,
  { after = '', limit = LIMITS.messagesPerFrame }: Asked,
): WorkersResult {
  const jobs = new Map<string, Held[]>()
  for (const one of held) {
    const { worker } = one.claim
    const known = jobs.get(worker)
    if (known) known.push(one)
    else jobs.set(worker, [one])
  }
  const found = new Map<string, Known | undefined>()
  for (const key of jobs.keys()) if (isPull(key)) found.set(key, undefined)
  for (const worker of workers) if (!hasEnded(worker)) found.set(worker.key, worker)
  const keys = [...found.keys()].filter((key) => key > after).sort()

  const page: WorkerFacts[] = []
  let chars = 0
  let last = ''
  for (const key of keys) {
    const facts = factsOf(key, found.get(key), jobs.get(key) ?? [])
    chars += JSON.stringify(facts).length
    if (page.length === limit || (page.length > 0 && chars > LIMITS.pageBytes)) return { workers: page, next: last }
    page.push(facts)
    last = key
  }
  return { workers: page }
}

function factsOf(key: string, worker: Known | undefined, held: readonly Held[]): WorkerFacts {
  const jobs = held.slice(0, LIMITS.workerJobs).map((one): [number, number, number] => {
    const { job, untilMs } = one
    return [job.id, sinceOf(one), untilMs]
  })
  const name = nameIn(key)
  if (!worker) {
    const since = held.reduce((least, one) => Math.min(least, sinceOf(one)), Number.MAX_SAFE_INTEGER)
    const about = { kind: 'http' } as const
    return { worker: name, about, since, capacity: 0, holding: held.length, jobs }
  }
  const { user, about, sinceMs, capacity, quiet, link, goneAt } = worker
  return {
    worker: name,
    ...(user !== undefined && { user }),
    ...(about && { about }),
    since: sinceMs,
    capacity,
    ...(quiet && { quiet }),
    ...(link === undefined && { goneAt }),
    holding: held.length,
    jobs,
  }
}

/** A home that has slept knows when a lease ends and for how long it is given: of one that was extended, that is since then. */
const sinceOf = ({ sinceMs, untilMs, claim }: Held): number => sinceMs ?? Math.max(0, untilMs - claim.leaseMs)
