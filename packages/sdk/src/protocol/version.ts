/**
 * The wire's version and its history. A change of any frame's schema changes its hash; then add a line here and to
 * {@link WIRE_HISTORY}, and raise `current` if an old peer would misread the new frame.
 *
 * 1 (2026-11): hello, authenticate, subscribe, unsubscribe, credit, publish, history; deliver, gap, goodbye. To queues: enqueue, work,
 * claim, settle, report, watch, unwatch, counts, workers, list, redrive, cancel, promote, bulk, pause, limit, schedule, schedules, unschedule,
 * pauseSchedule, runSchedule; jobs, lost, ended, reported, forgot. To all queues: queues; more.
 */
export const PROTOCOL = { current: 1, oldest: 1, name: 'messkit.1', bearer: 'bearer.' } as const

/**
 * The hash of all frame schemas after each change, oldest first. Lines are added and never edited once they are released;
 * `version.test.ts` fails on a change that has no line here, and says what belongs to one.
 */
export const WIRE_HISTORY = [
  { version: 1, at: '2026-11', hash: 'd79ab0ad3645cbf0d155687a33efa4560ae82ecc1f7cea4a38a49cbde08e16cf' },
] as const

/** The one exchange that is not JSON: the platform answers it without waking the object. */
export const HEARTBEAT = { ask: 'messkit:ping', answer: 'messkit:pong', everyMs: 25_000 } as const

const QUEUES = '../queues/'

/**
 * How a client calls a queue's home where it calls a topic's by its name: the way to it on a server, as seen from topics. No topic's name
 * begins so.
 */
export const queueAddress = (queue: string): string => QUEUES + queue

/** The queue that lives at an address, or `undefined` for a topic's. */
export const queueAt = (address: string): string | undefined =>
  address[0] === '.' ? address.slice(QUEUES.length) : undefined
