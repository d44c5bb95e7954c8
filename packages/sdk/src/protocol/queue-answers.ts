import { LINE_BREAK, payloads } from './codec.ts'
import type { JobFacts } from './frames/queue.ts'

/** What a queue's home says, as text. Payloads stand last, one a line, as they were enqueued. */

export interface Pushed {
  readonly queue: string
  readonly worker: string
  readonly token: number
  readonly untilMs: number
  readonly jobs: readonly (readonly [id: number, attempt: number, enqueuedAt: number, more?: object])[]
  readonly ticks?: readonly (readonly [index: number, schedule: string, at: number])[]
}

export function encodeJobs(facts: Pushed, bodies: readonly string[]): string {
  return `{"jsonrpc":"2.0","method":"jobs","params":${JSON.stringify(facts).slice(0, -1)},${payloads(bodies.join(LINE_BREAK))}`
}

/** The answer to a claim. */
export function encodeClaimed(
  id: number,
  facts: Omit<Pushed, 'queue' | 'worker'> | typeof NOTHING,
  bodies: readonly string[],
): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(facts).slice(0, -1)},${payloads(bodies.join(LINE_BREAK))}`
}

export const NOTHING = { jobs: [] } as const

export interface Listed {
  readonly jobs: readonly JobFacts[]
  readonly next?: readonly [lane: number, due: number, id: number]
}

export function encodeList(id: number, facts: Listed, bodies: readonly string[]): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(facts).slice(0, -1)},${payloads(bodies.join(LINE_BREAK))}`
}
