import { waitUntil } from 'cloudflare:workers'
import type { ErrorCode } from '@messkit/sdk/protocol'
import type { Env } from '../env.ts'
import { directoryOf } from '../objects/stubs.ts'
import type { AuditRecord } from './records.ts'

const DENIALS = {
  /** The directory hears of denials no more often than this, from each isolate. */
  everyMs: 10_000,
  /** Who was denied what by a `-log` rule, until the directory is told; more are only counted. */
  recorded: 1_000,
} as const

/** What a Worker has turned away since it last told the directory. Nothing is written for a single denial, and no object is made. */
class Denials {
  readonly #env: Env
  #counts = new Map<ErrorCode, number>()
  #records = new Map<string, AuditRecord>()
  #toldAt = 0
  #plannedFor: number | undefined

  constructor(env: Env) {
    this.#env = env
  }

  count(code: ErrorCode): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1)
    this.#plan()
  }

  record(record: AuditRecord): void {
    const key = JSON.stringify([record.who, record.what, record.reason])
    const known = this.#records.get(key)
    if (known) this.#records.set(key, { ...known, count: known.count + record.count })
    else if (this.#records.size < DENIALS.recorded) this.#records.set(key, record)
    this.#plan()
  }

  #plan(): void {
    const now = Date.now()
    // The request that promised it may have been ended before.
    if (this.#plannedFor !== undefined && now < this.#plannedFor + DENIALS.everyMs) return
    this.#plannedFor = Math.max(now, this.#toldAt + DENIALS.everyMs)
    waitUntil(this.#tell(this.#plannedFor - now))
  }

  async #tell(waitMs: number): Promise<void> {
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    const [counts, records] = [this.#counts, this.#records]
    this.#counts = new Map()
    this.#records = new Map()
    this.#toldAt = Date.now()
    this.#plannedFor = undefined
    try {
      await directoryOf(this.#env).count([...counts], [...records.values()])
    } catch (error) {
      console.error('the directory could not be told of denials:', error)
      for (const [code, count] of counts) this.#counts.set(code, (this.#counts.get(code) ?? 0) + count)
    }
  }
}

/** By directory: tests have several in one isolate. */
const known = new WeakMap<object, Denials>()

function denialsOf(env: Env): Denials {
  const denials = known.get(env.DIRECTORY) ?? new Denials(env)
  known.set(env.DIRECTORY, denials)
  return denials
}

export const countDenial = (env: Env, code: ErrorCode): void => denialsOf(env).count(code)

export const recordDenial = (env: Env, record: AuditRecord): void => denialsOf(env).record(record)
