import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { AuthenticateResult } from './frames/authenticate.ts'
import { DeliverParams, GapParams } from './frames/deliver.ts'
import { ErrorFrame } from './frames/error.ts'
import { GoodbyeParams } from './frames/goodbye.ts'
import { HelloResult } from './frames/hello.ts'
import { HistoryResult } from './frames/history.ts'
import { PublishResult } from './frames/publish.ts'
import {
  BulkResult,
  CancelResult,
  CountsResult,
  EndedParams,
  EnqueueResult,
  ForgotParams,
  JobsParams,
  LimitResult,
  ListResult,
  LostParams,
  PauseResult,
  PromoteResult,
  QUEUE_REQUESTS,
  RedriveResult,
  ReportedParams,
  ReportResult,
  SettleResult,
  UnwatchResult,
  WatchResult,
  WorkResult,
} from './frames/queue.ts'
import { MoreParams, NAMES_REQUESTS, QueuesResult } from './frames/queue-names.ts'
import { Envelope, REQUESTS } from './frames/requests.ts'
import { SubscribeResult, UnsubscribeResult } from './frames/subscribe.ts'
import { WorkersResult } from './frames/workers.ts'
import { PROTOCOL, WIRE_HISTORY } from './version.ts'

const FRAMES = {
  envelope: Envelope,
  requests: REQUESTS,
  results: {
    hello: HelloResult,
    authenticate: AuthenticateResult,
    subscribe: SubscribeResult,
    unsubscribe: UnsubscribeResult,
    publish: PublishResult,
    history: HistoryResult,
  },
  notifications: { deliver: DeliverParams, gap: GapParams, goodbye: GoodbyeParams },
  error: ErrorFrame,
  queue: {
    requests: QUEUE_REQUESTS,
    results: {
      enqueue: EnqueueResult,
      work: WorkResult,
      settle: SettleResult,
      report: ReportResult,
      watch: WatchResult,
      unwatch: UnwatchResult,
      counts: CountsResult,
      workers: WorkersResult,
      list: ListResult,
      redrive: RedriveResult,
      cancel: CancelResult,
      promote: PromoteResult,
      bulk: BulkResult,
      pause: PauseResult,
      limit: LimitResult,
    },
    notifications: {
      jobs: JobsParams,
      lost: LostParams,
      ended: EndedParams,
      reported: ReportedParams,
      forgot: ForgotParams,
    },
  },
  names: { requests: NAMES_REQUESTS, results: { queues: QueuesResult }, notifications: { more: MoreParams } },
}

/** What valibot keeps beside a schema's meaning. */
const INCIDENTAL = new Set(['~standard', '~run', 'reference', 'expects', 'async', 'message'])

/** A schema as plain data with sorted keys: equal for schemas that take the same frames, whatever they are called or made of. */
function describeSchema(schema: unknown): unknown {
  if (schema instanceof RegExp) return String(schema)
  if (Array.isArray(schema)) return schema.map(describeSchema)
  // A rule in code has its own tests; here counts which one it is, and that is told by its message.
  if (typeof schema === 'function') return 'code'
  if (typeof schema !== 'object' || schema === null) return schema
  const fields = Object.entries(schema)
    .filter(([key]) => !INCIDENTAL.has(key))
    .map(([key, value]) => [key, key === 'entries' ? describeEntries(value as object) : describeSchema(value)] as const)
  const { message } = schema as { message?: unknown }
  if (typeof message === 'string') fields.push(['message', message])
  return sorted(fields)
}

function describeEntries(entries: object): unknown {
  return sorted(Object.entries(entries).map(([key, value]) => [key, describeSchema(value)] as const))
}

const sorted = (fields: (readonly [string, unknown])[]) =>
  Object.fromEntries(fields.toSorted(([a], [b]) => (a < b ? -1 : 1)))

const hashOf = (schemas: unknown) =>
  createHash('sha256')
    .update(JSON.stringify(describeSchema(schemas)))
    .digest('hex')

it('notices when the wire changes', () => {
  const hash = hashOf(FRAMES)

  expect(
    hash,
    [
      'The schema of a frame has changed, and with it the wire. If that is meant:',
      '1. Add a line to the history in protocol/version.ts with the new hash and what has changed; correct the last line while it is unreleased.',
      '2. If a peer of an older version would misread the new frames, raise PROTOCOL.current, and PROTOCOL.oldest if it cannot be served.',
      '3. Say it in docs/reference/protocol.md, and add a conformance test.',
    ].join('\n'),
  ).toBe(WIRE_HISTORY.at(-1)?.hash)
})

it('keeps a history in which versions only rise, up to the current one', () => {
  const versions = WIRE_HISTORY.map(({ version }) => version as number)

  expect(versions).toEqual(versions.toSorted((a, b) => a - b))
  expect(versions.at(-1)).toBe(PROTOCOL.current)
  expect(new Set(WIRE_HISTORY.map(({ hash }) => hash)).size).toBe(WIRE_HISTORY.length)
})

it('serves no version that it has no history of', () => {
  expect(PROTOCOL.oldest).toBeLessThanOrEqual(PROTOCOL.current)
  expect(WIRE_HISTORY.map(({ version }) => version)).toContain(PROTOCOL.oldest)
})

it('names the sub-protocol after the current version', () => {
  expect(PROTOCOL.name).toBe(`messkit.${PROTOCOL.current}`)
})

it.each([
  [
    'a field more',
    {
      requests: {
        ...REQUESTS,
        hello: { ...REQUESTS.hello, entries: { ...REQUESTS.hello.entries, extra: UnsubscribeResult } },
      },
    },
  ],
  ['a method less', { requests: { hello: REQUESTS.hello } }],
  ['another type of a field', { requests: { ...REQUESTS, unsubscribe: REQUESTS.credit } }],
])('tells apart %s', (_what, change) => {
  expect(hashOf({ ...FRAMES, ...change })).not.toBe(hashOf(FRAMES))
})

it('does not depend on the order in which fields are written', () => {
  const { topic, subscription, through } = REQUESTS.credit.entries

  const turned = { ...REQUESTS.credit, entries: { through, subscription, topic } }

  expect(hashOf({ ...FRAMES, requests: { ...REQUESTS, credit: turned } })).toBe(hashOf(FRAMES))
})
