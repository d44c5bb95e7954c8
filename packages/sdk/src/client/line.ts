import type { HelloResult } from '../protocol/frames/hello.ts'
import type { Trouble } from './errors.ts'
import type { SessionEffect } from './session-events.ts'

/** Answers one request; exactly one of the two is there. */
export type Answer = (result: unknown, error: Trouble | undefined) => void

/** What the parts of a session share while it handles one event. */
export interface Line {
  readonly topic: string
  /** Milliseconds since 1970. */
  now: number
  readonly online: boolean
  /** As the server said in its hello. */
  limits: HelloResult['limits']
  emit(effect: SessionEffect): void
  ask(method: string, params: object, answer: Answer): void
  /** The next request's number; its answer goes to `answer`. */
  expect(answer: Answer): number
  /** Give this link up and try another. */
  lose(reason: Trouble): void
}
