import { Alarm, elapsed } from '../platform.ts'
import type { Lease } from '../protocol/frames/queue.ts'
import { JOB_LIMITS } from '../protocol/job-limits.ts'
import { MessError } from './errors.ts'
import { JobWatch } from './job-watch.ts'
import type { QueueSide } from './queue-side.ts'
import type { Outcome } from './worker.ts'

interface Report {
  readonly lease: Lease
  progress?: string
  log?: string[]
}

const EVERY_MS = 100

/**
 * What only some need of a queue, loaded when somebody does: waiting for a job to end, and, of handlers, returning a result, keeping a
 * state and reporting how far they are. Of what is reported more often than every 100 ms the newest progress is sent, and the last lines.
 */
export class JobExtras {
  readonly watch: JobWatch
  readonly #side: QueueSide
  readonly #lineOf: (value: unknown, most: number) => string
  readonly #reports = new Map<string, Report>()
  readonly #alarm = new Alarm(() => this.flush(), false)
  #sentAt = Number.NEGATIVE_INFINITY

  /** @param line writes a value as JSON, unless that would be larger than so many bytes */
  constructor(side: QueueSide, line: (value: unknown, most: number) => string) {
    this.#side = side
    this.#lineOf = line
    this.watch = new JobWatch(side)
  }

  async cancel(id: number | undefined, reason: string | undefined): Promise<boolean> {
    if (id === undefined) return false
    return (await this.#side.answer<{ cancelled: number }>('cancel', { ids: [id], reason })).cancelled > 0
  }

  /** What becomes of a job whose handler returned something. What cannot be kept was promised to be, or nobody minds. */
  outcomeOf(lease: Lease, value: unknown, retained = false): Outcome {
    try {
      return { kind: 'done', entry: { lease, result: this.#lineOf(value, JOB_LIMITS.resultChars) } }
    } catch (cause) {
      if (!retained) return { kind: 'ack', entry: lease }
      const { code, message } = cause as MessError
      return { kind: 'retry', entry: { lease, error: `${code}: ${message}`, dead: true } }
    }
  }

  /** Resolves when the state is durable. @throws {MessError} `lease_lost` */
  async checkpoint(lease: Lease, value: unknown): Promise<void> {
    const keep = [{ lease, state: this.#lineOf(value, JOB_LIMITS.stateChars) }]
    const { stale } = await this.#side.answer<{ stale: Lease[] }>('settle', { keep })
    if (stale.length > 0) throw new MessError('lease_lost', `Job ${lease[0]} is not this worker's any more`)
  }

  progress(lease: Lease, value: unknown): void {
    this.#of(lease).progress = this.#lineOf(value, JOB_LIMITS.progressChars)
  }

  log(lease: Lease, line: string): void {
    const report = this.#of(lease)
    const short = String(line).slice(0, JOB_LIMITS.logLineChars)
    report.log = [...(report.log ?? []), short].slice(-JOB_LIMITS.logLines)
  }

  /** Nothing depends on a report. */
  flush(): void {
    this.#alarm.clear()
    const reports = [...this.#reports.values()]
    this.#reports.clear()
    if (reports.length > 0) this.#sentAt = elapsed()
    for (let i = 0; i < reports.length; i += JOB_LIMITS.reportsPerFrame)
      this.#side.answer('report', { reports: reports.slice(i, i + JOB_LIMITS.reportsPerFrame) }).catch(() => {})
  }

  #of(lease: Lease): Report {
    const key = `${lease[0]} ${lease[1]}`
    const report = this.#reports.get(key) ?? { lease }
    this.#reports.set(key, report)
    this.#alarm.set(Math.max(elapsed(), this.#sentAt + EVERY_MS))
    return report
  }
}

const known = new WeakMap<QueueSide, JobExtras>()

/** One for each queue of a client. */
export function extrasOf(side: QueueSide, line: ConstructorParameters<typeof JobExtras>[1]): JobExtras {
  const extras = known.get(side) ?? new JobExtras(side, line)
  known.set(side, extras)
  return extras
}
