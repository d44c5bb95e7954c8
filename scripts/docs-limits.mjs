// The tables of docs/reference/limits.md: values and reasons from the source, and what happens above a bound, which stands here.
import { ANNOUNCED_LIMITS, LIMITS } from '../packages/sdk/src/protocol/limits.ts'
import { assertSame, docsOf, table } from './docs-source.mjs'

const FOLDER = 'packages/sdk/src/protocol'

/** `over`: what goes over it meets. `what`: where the source leaves it to the name. */
const GROUPS = [
  {
    title: 'Messages and frames',
    limits: {
      messageBytes: { over: '`message_too_large`' },
      frameBytes: { over: '`frame_too_large`, and the link is closed' },
      messagesPerFrame: { what: 'Payloads in one publish frame.', over: '`bad_params`; the SDK sends several frames' },
      payloadDepth: { over: '`too_deep`' },
    },
  },
  {
    title: 'Names',
    limits: {
      nameBytes: { what: 'A topic name as a whole.', over: '`bad_name`' },
      nameLevels: { what: 'Levels of a topic name, joined by `/`.', over: '`bad_name`' },
      levelChars: { what: 'One level of a topic name.', over: '`bad_name`' },
      keyBytes: { what: 'The key of a message.', over: '`bad_option`; from another client `bad_params`' },
      publisherChars: { what: 'The id of a publisher, at least 8.', over: '`bad_params`' },
    },
  },
  {
    title: 'Reading',
    limits: {
      creditBytes: { over: 'the broker stops sending; the subscription reads on from the log when there is credit' },
      pageBytes: { over: 'the page ends; one message is always in it' },
      historyMessages: {
        what: 'Messages in one page of history.',
        over: '`bad_option`; from another client `bad_params`',
      },
      historyBytes: {
        what: 'History that one connection may be sent at once; `historyBytesPerSecond` pays it off.',
        over: '`busy`, which may be tried again',
      },
      historyBytesPerSecond: { what: 'What is paid off of `historyBytes` in a second.', over: 'see `historyBytes`' },
      abandonedBytes: {
        what: 'What one connection was sent for subscriptions that it ended before it had handled it; `abandonedBytesPerSecond` pays it off.',
        over: '`busy` to `subscribe`; the SDK opens another connection and goes on',
      },
      abandonedBytesPerSecond: {
        what: 'What is paid off of `abandonedBytes` in a second.',
        over: 'see `abandonedBytes`',
      },
      subscriptionsPerLink: { what: 'Subscriptions of one client in one topic.', over: '`too_many_subscriptions`' },
      readsPerLink: {
        what: 'History pages of one link that wait for a slow store.',
        over: '`busy`: `history()` rejects; try again',
      },
    },
  },
  {
    title: 'Recognising repeats',
    limits: {
      publisherWindow: { over: 'the SDK waits for acks; an older repeat is answered `duplicate` without its offset' },
      publishersPerTopic: {
        what: 'Publishers that a topic remembers.',
        over: 'the one that was silent longest is forgotten; its next message is answered `publisher_expired`',
      },
      spansPerTopic: {
        what: 'Stretches of offsets that a topic remembers for repeats, over all publishers.',
        over: 'older repeats of the most silent publishers are answered without their offset',
      },
      publisherIdleMs: { over: 'its next message is answered `publisher_expired`' },
    },
  },
  {
    title: 'Links and tokens',
    limits: {
      linksPerTopic: { what: 'Open links of one topic; the platform’s own bound.', over: '`too_many_links`' },
      faultsPerLink: { over: '`too_many_faults`, and the link is closed' },
      ratesPerTopic: { over: 'the one forgotten may publish as if they had not' },
      keptRates: { over: 'the same, once the topic has slept' },
      tokenBytes: { what: 'A token, before base64url.', over: '`token_too_large`' },
    },
  },
  {
    title: 'The log',
    limits: {
      undurableBytes: {
        what: 'Accepted and not yet durable, per topic.',
        over: '`busy`; the SDK waits and sends again',
      },
      rowBytes: { what: 'One stored row.', over: 'the commit writes several rows' },
      tailBytes: { over: 'a new row begins' },
      tailMs: { what: 'Age of a row that is still extended.', over: 'a new row begins' },
      checkpointChunks: { over: 'the commit writes a checkpoint' },
      checkpointBytes: { over: 'the commit writes a checkpoint' },
      checkpointBuckets: {
        what: 'Rows that the publishers of a checkpoint are spread over; only changed ones are written.',
        over: 'fixed',
      },
      segmentsPerTopic: { over: 'neighbours are joined, and retention cuts coarser' },
      trimSegments: { over: 'the next commit trims' },
      sweepMs: {
        what: 'How long after its time a message may be deleted that is too old, where nobody publishes.',
        over: 'an alarm trims',
      },
    },
  },
  {
    title: 'Queues',
    limits: {
      workerJobs: { over: '`bad_params`' },
      workerHostChars: { what: 'What a worker says of the machine that it runs on.', over: '`bad_params`' },
      goneWorkers: {
        what: 'Workers that are gone and hold nothing, and are still shown.',
        over: 'the one that went first is not',
      },
      workersPerLink: { what: 'Workers that share one link.', over: '`too_many_workers`' },
      claimWaitMs: { over: '`bad_params`' },
      leasesPerQueue: { over: 'nothing is pushed until leases end' },
      heldBytes: { over: 'the same' },
      leaseMs: { what: 'The longest lease.', over: '`bad_params`' },
      delayMs: { what: 'The longest time that a job can be put off.', over: '`bad_params`' },
      workerGraceMs: { over: 'its jobs are given to others' },
      jobLosses: { over: 'the job is dead' },
      jobAttempts: { what: 'Attempts that can be asked for.', over: '`bad_params`' },
      groupChars: { what: 'The name of a group of jobs.', over: '`bad_params`' },
      groups: { over: 'nothing behind them is given out until one of them goes on' },
      groupPlaces: { over: 'the rest is looked for when it is needed' },
      groupJobs: {
        what: 'Of each group, places that are known in any case.',
        over: 'the rest is looked for when it is needed',
      },
      filterChars: { what: 'A text that jobs are searched for.', over: '`bad_params`' },
      queuesPerPage: { over: '`bad_params`' },
      ownRulesPerPage: { over: 'the rest stands on the next page' },
      namesIdleMs: { over: 'the link ends; the SDK opens another when it asks again' },
      countedJobs: { over: 'jobs behind them count as not due yet' },
      jobErrorChars: { what: 'What is kept of an error.', over: '`bad_params`' },
      workerHandlers: { over: '`bad_option`' },
      debounceMs: {
        what: 'Repeats put off a job so long in all, unless its `maxDelayMs` says otherwise.',
        over: 'it is due',
      },
      retainMs: { what: 'The longest time for which a job that is done can be kept.', over: '`bad_params`' },
      resultChars: {
        what: 'What a handler returns, as JSON.',
        over: 'the job is dead where it is retained; else there is no result',
      },
      stateChars: { what: 'What a handler keeps for the next attempt, as JSON.', over: '`bad_params`' },
      deadMs: { what: 'How long dead jobs are kept.', over: 'they are deleted' },
      deadJobs: { what: 'Dead jobs that are kept.', over: 'the oldest are deleted' },
      sweepJobs: { what: 'Rows that are deleted in one piece when their time is over.', over: 'the next piece' },
      nonRetryableErrors: { what: 'Names of errors that a job can call final.', over: '`bad_params`' },
      errorNameChars: { what: 'The name of such an error.', over: '`bad_params`' },
      progressChars: { what: 'One value of progress, as JSON.', over: '`bad_params`' },
      logLineChars: { what: 'One line that a handler logs.', over: 'it is cut; from another client `bad_params`' },
      logLines: { what: 'Last lines that are kept of a job.', over: 'the oldest are dropped' },
      reportsPerFrame: { what: 'Jobs of which one frame reports.', over: '`bad_params`' },
      reportBytes: { what: 'Reports of one link at once.', over: '`busy`; nothing is reported' },
      reportBytesPerSecond: { what: 'Reports of one link per second after that.', over: '`busy`; nothing is reported' },
      watchesPerLink: { what: 'Jobs that one link waits to hear of.', over: '`busy`' },
      watchesPerFrame: { what: 'Jobs that one frame asks for.', over: '`bad_params`' },
      keptWatches: {
        what: 'Jobs by which a link is remembered while its home sleeps.',
        over: 'what becomes of the others in that time may be unknown',
      },
      recentJobs: {
        what: 'Jobs that are over and whose outcome is still known in memory.',
        over: 'the oldest are forgotten',
      },
      recentBytes: { what: 'What their results take there.', over: 'the oldest are forgotten' },
      laneJobs: {
        what: 'Jobs of one lane that a queue keeps at hand, and of one page.',
        over: 'the rest is read when it is needed',
      },
      laneBytes: { what: 'The same in bytes.', over: 'the rest is read when it is needed' },
      carriedMarks: { over: 'they are written in rows of their own' },
      carriedJobs: { over: 'the commit writes the marks' },
      schedulesPerQueue: { what: 'Schedules of one queue.', over: '`too_many_schedules`' },
      scheduleIdChars: { what: 'The id of a schedule.', over: '`bad_params`, `bad_schedule`' },
      scheduleDescriptionChars: { what: 'Its description.', over: '`bad_params`, `bad_schedule`' },
      cronChars: { what: 'Its pattern.', over: '`bad_params`, `bad_schedule`' },
      timeZoneChars: { what: 'The name of its time zone.', over: '`bad_params`, `bad_schedule`' },
      scheduleBytes: { what: 'The payload of its jobs, as JSON in UTF-8.', over: '`bad_params`, `message_too_large`' },
      everyMs: { what: 'The shortest period of a schedule.', over: '`bad_schedule`, below it' },
      catchUpTicks: { over: 'the oldest are left out' },
      ticksPerCommit: { over: 'the others come with the next commit' },
      tickRetryMs: { over: 'an alarm rings' },
      tickLateMs: { over: 'it counts as missed' },
      scheduleRuns: { over: 'the oldest is forgotten, and would run once more' },
    },
  },
  {
    title: 'The client’s outbox',
    limits: {
      outboxMessages: {
        what: 'Unacked and refused messages of one client, in memory or on disk.',
        over: '`outbox_full`, thrown by `publish()`',
      },
      replicaMessages: { over: '`bad_option`' },
      outboxBytes: { what: 'Their payloads, in characters.', over: '`outbox_full`, thrown by `publish()`' },
      outboxAcks: { over: 'the oldest is dropped; a tab that asks later is told `duplicate` without an offset' },
    },
  },
]

export function limitTables() {
  const described = GROUPS.flatMap(({ limits }) => Object.keys(limits))
  assertSame('scripts/docs-limits.mjs', { described, existing: Object.keys(LIMITS) })
  const docs = new Map([
    ...(docsOf(`${FOLDER}/client-limits.ts`).get('CLIENT_LIMITS')?.members ?? []),
    ...(docsOf(`${FOLDER}/limits.ts`).get('LIMITS')?.members ?? []),
  ])
  return GROUPS.map(({ title, limits }) => {
    const rows = Object.entries(limits).map(([name, { what, over }]) => [
      `<a id="${name}"></a>\`${name}\`${ANNOUNCED_LIMITS.includes(name) ? ' ¹' : ''}`,
      sizeOf(name, LIMITS[name]),
      what ?? docs.get(name) ?? '',
      over,
    ])
    return `## ${title}\n\n${table(['name', 'value', 'what it bounds', 'above it'], rows)}`
  }).join('\n\n')
}

/** Those that whoever publishes or subscribes will meet first. */
export function shortLimits() {
  const wanted = [
    ['messageBytes', 'one message, as JSON in UTF-8'],
    ['payloadDepth', 'nesting of arrays and objects in it'],
    ['nameBytes', 'a topic name'],
    ['keyBytes', 'a key'],
    ['historyMessages', 'messages in one page of history'],
    ['creditBytes', 'received by a subscriber and not handled yet'],
    ['outboxMessages', 'messages that wait in a client’s outbox'],
    ['outboxBytes', 'the same in size'],
    ['linksPerTopic', 'open connections of one topic'],
    ['publisherIdleMs', 'offline for this long: a repeat may not be recognised any more, and is set aside'],
  ]
  return table(
    ['bound', 'of what', 'value'],
    wanted.map(([name, what]) => [`\`${name}\``, what, sizeOf(name, LIMITS[name])]),
  )
}

function sizeOf(name, value) {
  if (name.endsWith('Bytes'))
    return inUnits(value, [
      [1024 ** 3, 'GiB'],
      [1024 ** 2, 'MiB'],
      [1024, 'KiB'],
      [1, 'bytes'],
    ])
  if (name.endsWith('Ms'))
    return inUnits(value, [
      [24 * 3_600_000, 'days'],
      [3_600_000, 'h'],
      [60_000, 'min'],
      [1_000, 's'],
      [1, 'ms'],
    ])
  if (name.endsWith('Chars')) return `${value} characters`
  return value.toLocaleString('en')
}

function inUnits(value, units) {
  const [size, unit] = units.find(([size]) => value >= size && value % size === 0) ?? units.at(-1)
  return `${(value / size).toLocaleString('en')} ${unit}`
}
