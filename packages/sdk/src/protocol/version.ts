/**
 * The wire's version and its history. A change of any frame's schema changes the hash in `version.test.ts`; then add a
 * line here, and raise `current` if an old peer would misread the new frame.
 *
 * 1 (2026-11): hello, authenticate, subscribe, unsubscribe, credit, publish, history; deliver, gap, goodbye.
 */
export const PROTOCOL = { current: 1, oldest: 1, name: 'messkit.1', bearer: 'bearer.' } as const

/** The one exchange that is not JSON: the platform answers it without waking the object. */
export const HEARTBEAT = { ask: 'messkit:ping', answer: 'messkit:pong', everyMs: 25_000 } as const
