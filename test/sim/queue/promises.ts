import { CLAIMABLE, jobOf, LANES } from '../../../packages/sdk/src/broker/job.ts'
import type { Fate } from '../../../packages/sdk/src/protocol/frames/publish.ts'
import type { JobOptions, Lease, SettleParams, WatchedJob } from '../../../packages/sdk/src/protocol/frames/queue.ts'
import type { JobRow } from '../../../packages/sdk/src/store/queue-store.ts'
import type { Looked } from '../../support/checker/history.ts'
import { nameOfRow } from './ticks.ts'
import type { QueueWorld } from './world.ts'

/** A frame with jobs, as it reached the home. */
export interface Asked {
  readonly first: number
  readonly each: readonly (JobOptions | null)[]
  readonly messages: readonly string[]
}

interface Retained {
  readonly id: number
  readonly result: string | undefined
  readonly untilMs: number
}

/**
 * What a queue promises of keys, results and states, as somebody knows it who watches all frames at its home. Jobs are called by their
 * payloads; each is enqueued once, however often it is sent.
 */
export class Promises {
  readonly #world: QueueWorld
  readonly #options = new Map<string, JobOptions>()
  /** The payload that a job has, as the home has answered last, and all that it may have had. */
  readonly #payload = new Map<number, string>()
  readonly #payloads = new Map<number, Set<string>>()
  readonly #replaced = new Set<string>()
  /** In which order they were answered when they were stored, or came in the place of another. */
  readonly #answered = new Map<string, number>()
  /** By lease. */
  readonly #claimed = new Map<string, string>()
  /** Whose place nobody knows: a repeat whose id was forgotten. */
  readonly #vague = new Set<string>()
  /** When the newest job of a key was enqueued, by the home's clock. */
  readonly #newest = new Map<string, number>()
  readonly #retained = new Map<number, Retained>()
  readonly #results = new Map<number, Set<string | undefined>>()
  readonly #done = new Set<number>()
  /** What was kept, or may have been. */
  readonly #states = new Map<number, Set<string>>()
  /** The latest that the home's clock has shown. */
  #latestMs = 0

  constructor(world: QueueWorld) {
    this.#world = world
  }

  expect(at: Looked, holds: boolean, example: () => string): void {
    this.#world.record({ e: 'looked', at, holds, ...(!holds && { example: example() }) })
  }

  tick(nowMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, nowMs)
  }

  // ---- keys

  /** It may become true, although its answer is lost. */
  sent({ each, messages }: Asked): void {
    messages.forEach((name, i) => {
      this.#options.set(name, each[i] ?? {})
    })
  }

  enqueued({ first, each, messages }: Asked, fates: readonly Fate[]): void {
    for (const { fate, first: from, count, offset } of fates) {
      for (let i = 0; i < count; i++) {
        const at = from - first + i
        const name = messages[at] as string
        const options = each[at] ?? {}
        if (fate === 'redundant' || fate === 'updated') this.#world.count(fate)
        if (fate === 'duplicate' && offset === undefined) this.#vague.add(name)
        if (offset === undefined || fate === 'redundant') continue
        const id = offset + i
        const before = this.#payload.get(id)
        if (fate === 'updated' && before !== undefined) this.#replaced.add(before)
        if (fate !== 'duplicate') {
          this.#payload.set(id, name)
          this.#answered.set(name, this.#answered.size)
        }
        this.#named(id, name)
        if (fate === 'stored' && options.dedupe?.mode === 'drop') this.#dropped(id, options.dedupe)
        if (fate === 'updated')
          this.expect('two jobs of one key', options.dedupe?.mode !== 'drop', () => `${name} replaced ${before}`)
      }
    }
  }

  /** A job of a key was stored: no other one waits or is held, and none was enqueued within the time of the key. */
  #dropped(id: number, { key, ttlMs = 0 }: NonNullable<JobOptions['dedupe']>): void {
    const rows = this.#world.server.disk.seen().filter(({ lane }) => lane < CLAIMABLE)
    const of = rows.filter(({ body }) => this.#options.get(JSON.parse(body) as string)?.dedupe?.key === key)
    const row = of.find((one) => one.id === id)
    this.expect('two jobs of one key', of.length <= 1, () => `${key}: ${of.map((one) => one.id)}`)
    if (!row) return
    const { at } = jobOf(row)
    const before = this.#newest.get(key)
    // By a clock that was put back it may have passed already.
    const within = before !== undefined && at >= before && this.#latestMs < before + ttlMs
    this.expect('two jobs of one key', !within, () => `${id} within ${ttlMs} ms`)
    this.#newest.set(key, at)
  }

  #named(id: number, name: string): void {
    this.#payloads.set(id, (this.#payloads.get(id) ?? new Set()).add(name))
  }

  claimed([id, token]: Lease, name: string, state: string | undefined): void {
    this.#named(id, name)
    this.#claimed.set(`${id} ${token}`, name)
    this.expect('job that was replaced came back', !this.#replaced.has(name), () => `${name} as ${id}`)
    const states = this.#states.get(id)
    if (states && !this.#options.get(name)?.dedupe)
      this.expect('state lost', states.has(state ?? ''), () => `${name}: ${state} is none of ${[...states]}`)
  }

  /** Names that need not be anywhere, since a later one has their place. @param there those that are done, or left in a row */
  replaced(rows: readonly JobRow[], there: (name: string) => boolean): string[] {
    for (const row of rows) this.#named(row.id, nameOfRow(row))
    const excused = (name: string, by: string): boolean => {
      const [at, later] = [this.#answered.get(name), this.#answered.get(by)]
      return at === undefined || later === undefined || later > at
    }
    const gone = [...this.#payloads.values()].flatMap((names) =>
      [...names].filter((name) => [...names].some((by) => by !== name && there(by) && excused(name, by))),
    )
    return [...gone, ...[...this.#vague].filter((name) => this.#options.get(name)?.dedupe)]
  }

  // ---- results and states

  /** Something was asked for, and may become true. */
  asked({ ack = [], done = [], keep = [] }: Omit<SettleParams, 'queue'>): void {
    for (const [id] of ack) this.#given(id, undefined)
    for (const { lease, result } of done) this.#given(lease[0], result)
    for (const { lease, state } of keep) {
      const [id] = lease
      this.#states.set(id, (this.#states.get(id) ?? new Set([''])).add(state))
    }
  }

  #given(id: number, result: string | undefined): void {
    this.#results.set(id, (this.#results.get(id) ?? new Set()).add(result))
  }

  /** @param asked when that was, and when it was answered, by the home's clock */
  settled({ ack = [], done = [], keep = [] }: Omit<SettleParams, 'queue'>, refused: ReadonlySet<string>, atMs: number) {
    const accepted = ([id, token]: Lease): boolean => !refused.has(`${id} ${token}`)
    const ended = ([id, token]: Lease, result: string | undefined): void => {
      this.#done.add(id)
      const ms = this.#options.get(this.#claimed.get(`${id} ${token}`) ?? '')?.retain?.ms
      if (ms !== undefined) this.#retained.set(id, { id, result, untilMs: atMs + ms })
    }
    for (const lease of ack) if (accepted(lease)) ended(lease, undefined)
    for (const { lease, result } of done) if (accepted(lease)) ended(lease, result)
    for (const { lease, state } of keep) {
      if (!accepted(lease)) continue
      this.#world.count('kept state')
      // What may have been kept before was, or was not; this one stands now.
      this.#states.set(lease[0], new Set([state]))
    }
  }

  unanswered({ ack = [], done = [] }: Omit<SettleParams, 'queue'>): void {
    for (const [id] of [...ack, ...done.map(({ lease }) => lease)]) this.#done.add(id)
  }

  /** Results that were acked are where they were, as long as they are retained. */
  looked(): void {
    const rows = new Map(this.#world.server.disk.rows().map((row) => [row.id, row]))
    for (const { id, result, untilMs } of this.#retained.values()) {
      if (this.#latestMs >= untilMs) continue
      const row = rows.get(id)
      const kept = row?.lane === LANES.completed && jobOf(row).extra?.result === result
      this.#world.count('retained')
      this.expect('result lost', kept, () => `${id}: ${row?.head} instead of ${result}`)
    }
  }

  /** A watcher was told. */
  told({ id, state, result }: WatchedJob): void {
    this.#world.count(`told ${state}`)
    if (state === 'completed')
      this.expect('result lost', this.#results.get(id)?.has(result) === true, () => `${id}: told ${result}`)
    if (state !== 'unknown') return
    const retained = this.#retained.get(id)
    const known = retained && this.#latestMs < retained.untilMs
    this.expect('result lost', !known && this.#done.has(id), () => `${id} is said not to be known`)
  }
}
