// docs/reference/protocol.md: the frames from their schemas, and the example conversation from a real broker.
import { TopicHome } from '@messkit/sdk/broker'
import { decodeRequest, HEARTBEAT, makeEpoch } from '@messkit/sdk/protocol'
import { MemoryStore } from '@messkit/sdk/store'
import * as authenticate from '../packages/sdk/src/protocol/frames/authenticate.ts'
import * as deliver from '../packages/sdk/src/protocol/frames/deliver.ts'
import * as errors from '../packages/sdk/src/protocol/frames/error.ts'
import * as goodbye from '../packages/sdk/src/protocol/frames/goodbye.ts'
import * as hello from '../packages/sdk/src/protocol/frames/hello.ts'
import * as history from '../packages/sdk/src/protocol/frames/history.ts'
import * as publish from '../packages/sdk/src/protocol/frames/publish.ts'
import * as queue from '../packages/sdk/src/protocol/frames/queue.ts'
import * as queueNames from '../packages/sdk/src/protocol/frames/queue-names.ts'
import { REQUESTS } from '../packages/sdk/src/protocol/frames/requests.ts'
import * as scalars from '../packages/sdk/src/protocol/frames/scalars.ts'
import * as schedules from '../packages/sdk/src/protocol/frames/schedules.ts'
import * as subscribe from '../packages/sdk/src/protocol/frames/subscribe.ts'
import * as workers from '../packages/sdk/src/protocol/frames/workers.ts'
import { assertSame, docsOf, table } from './docs-source.mjs'

const FOLDER = 'packages/sdk/src/protocol/frames'
const FILES = {
  ...{
    authenticate,
    deliver,
    error: errors,
    goodbye,
    hello,
    history,
    publish,
    queue,
    'queue-names': queueNames,
    scalars,
    schedules,
    subscribe,
    workers,
  },
}

// ---- the frames

const CLIENT = [
  { method: 'hello', params: hello.HelloParams, result: hello.HelloResult },
  { method: 'authenticate', params: authenticate.AuthenticateParams, result: authenticate.AuthenticateResult },
  { method: 'subscribe', params: subscribe.SubscribeParams, result: subscribe.SubscribeResult },
  { method: 'unsubscribe', params: subscribe.UnsubscribeParams, result: subscribe.UnsubscribeResult },
  { method: 'credit', params: subscribe.CreditParams },
  { method: 'publish', params: publish.PublishParams, result: publish.PublishResult },
  { method: 'history', params: history.HistoryParams, result: history.HistoryResult },
]
const BROKER = [
  { method: 'deliver', params: deliver.DeliverParams },
  { method: 'gap', params: deliver.GapParams },
  { method: 'goodbye', params: goodbye.GoodbyeParams },
]
/** Schemas of what a broker sends, by method. */
export const RESULTS = Object.fromEntries(CLIENT.flatMap(({ method, result }) => (result ? [[method, result]] : [])))
export const NOTIFICATIONS = Object.fromEntries(BROKER.map(({ method, params }) => [method, params]))
export const { ErrorFrame } = errors

/** What words cannot be made of a schema. */
const SAID = {
  Count: 'a whole number from 0 that JavaScript holds exactly',
  Positive: 'the same from 1',
  TopicName: 'text, see the rules for names',
  CursorText: 'text `<epoch>_<offset>`: 16 characters `a-z 0-9`, and the offset in 16 digits. Opaque to applications',
  RequestId: 'a whole number from 0, chosen by whoever asks',
  Key: 'text of 1 to 256 bytes in UTF-8, without halves of surrogate pairs',
}
const REQUEST_ONLY = ['RequestId']

const OF_QUEUES = new Set([
  ...Object.values(queueNames),
  ...Object.values(queue),
  ...Object.values(schedules),
  ...Object.values(workers),
])
const NAMES = new Map()
const DOCS = new Map()
for (const [file, module] of Object.entries(FILES)) {
  const docs = docsOf(`${FOLDER}/${file}.ts`)
  for (const [name, schema] of Object.entries(module)) {
    NAMES.set(schema, name)
    DOCS.set(schema, docs.get(name) ?? { doc: '', members: new Map() })
  }
}

export function frameTables() {
  const shown = [...CLIENT, ...BROKER].flatMap(({ params, result }) => [params, ...(result ? [result] : [])])
  assertSame('scripts/docs-protocol.mjs', {
    described: shown.map((schema) => NAMES.get(schema)),
    existing: [...NAMES].flatMap(([schema, name]) => (!OF_QUEUES.has(schema) && FRAME.test(name) ? [name] : [])),
  })
  assertSame('scripts/docs-protocol.mjs', {
    described: CLIENT.map(({ method }) => method),
    existing: Object.keys(REQUESTS),
  })
  return [
    '## Client to broker',
    ...CLIENT.map(({ method, params, result }) =>
      section(method, [['`params`', params], ...(result ? [['`result`', result]] : [])]),
    ),
    '## Broker to client',
    ...BROKER.map(({ method, params }) => section(method, [['`params`', params]])),
    section('error', [['The frame', errors.ErrorFrame]]),
    '## Values',
    values([...NAMES].filter(([schema]) => !OF_QUEUES.has(schema) && !shown.includes(schema))),
  ].join('\n\n')
}

const FRAME = /(Params|Result)$/
const PROTOCOL_PAGE = 'protocol.md'

/** The frames of queues, all that there are: what is no request of a client is pushed to it. */
export function queueTables() {
  const methods = Object.keys(queue.QUEUE_REQUESTS).filter((method) => !Object.hasOwn(REQUESTS, method))
  const named = [...Object.entries(queue), ...Object.entries(schedules), ...Object.entries(workers)].filter(
    ([, { kind }]) => kind === 'schema',
  )
  const exported = new Map(named)
  const asked = Object.values(queue.QUEUE_REQUESTS)
  const pushed = named
    .filter(([name, schema]) => name.endsWith('Params') && !asked.includes(schema))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const nameOf = (method) => method[0].toUpperCase() + method.slice(1)
  return [
    '## Client to broker',
    ...methods.map((method) =>
      section(method, [
        ['`params`', queue.QUEUE_REQUESTS[method]],
        ['`result`', exported.get(`${nameOf(method)}Result`)],
      ]),
    ),
    '## Broker to client',
    ...pushed.map(([name, schema]) => section(name.replace('Params', '').toLowerCase(), [['`params`', schema]])),
    '## All queues',
    section('queues', [
      ['`params`', queueNames.QueuesParams],
      ['`result`', queueNames.QueuesResult],
    ]),
    section('more', [['`params`', queueNames.MoreParams]]),
    '## Values',
    values(
      [...NAMES].filter(([schema, name]) => OF_QUEUES.has(schema) && schema.kind === 'schema' && !FRAME.test(name)),
    ),
  ]
    .join('\n\n')
    .replace(/\]\(#([\w-]+)\)/g, (link, anchor) =>
      named.some(([name]) => name.toLowerCase() === anchor) ? link : `](${PROTOCOL_PAGE}#${anchor})`,
    )
}

function section(title, parts) {
  const texts = parts.map(([label, schema]) =>
    `${withoutDirection(DOCS.get(schema).doc)}\n\n${fields(label, schema)}`.trim(),
  )
  return `### ${title}\n\n${texts.join('\n\n')}`
}

/** The heading has said it. */
const withoutDirection = (doc) =>
  doc.replace(/^(?:Client → broker|Broker → client)[:,] (.)/, (_, first) => first.toUpperCase())

function fields(label, schema) {
  const rows = fieldRows(schema, DOCS.get(schema).members)
  return rows.length === 0 ? `${label}: \`{}\`` : `${table([label, 'value', ''], rows)}`
}

function fieldRows(schema, docs) {
  const rows = Object.entries(schema.entries).map(([name, field]) => {
    const optional = field.type === 'optional'
    const notes = [optional ? 'may be missing' : '', docs.get(name) ?? ''].filter(Boolean).join('. ')
    return [`\`${name}\``, typeOf(optional ? field.wrapped : field), notes]
  })
  if (schema === publish.PublishParams || schema === queue.EnqueueParams)
    rows.push(['`messages`', 'payloads, one per line, last', 'see [payload lines](#payload-lines)'])
  return rows
}

function values(all) {
  const named = all.filter(([schema, name]) => schema !== errors.ErrorFrame && !REQUEST_ONLY.includes(name))
  const byName = named.sort(([, a], [, b]) => (a < b ? -1 : 1))
  return table(
    ['value', 'is', ''],
    byName.map(([schema, name]) => [
      `<a id="${name.toLowerCase()}"></a>\`${name}\``,
      SAID[name] ?? shapeOf(schema),
      DOCS.get(schema).doc,
    ]),
  )
}

function typeOf(schema) {
  const name = NAMES.get(schema)
  return name === undefined || REQUEST_ONLY.includes(name) ? shapeOf(schema) : `[${name}](#${name.toLowerCase()})`
}

/** A schema and its rules; one with rules may have been given more of them. */
const rulesOf = ({ pipe: [first, ...rules] = [] }) =>
  first ? [...(first.pipe ? rulesOf(first) : [first]), ...rules] : []

function shapeOf(schema) {
  const [base, ...rules] = schema.pipe ? rulesOf(schema) : [schema]
  const bound = (...types) => rules.find(({ type }) => types.includes(type))?.requirement
  const low = bound('min_value', 'min_length')
  const high = bound('max_value', 'max_length', 'max_bytes')
  const pattern = bound('regex')?.source.replace(/^\^\[|\]\+\$$/g, '')
  switch (base.type) {
    case 'number':
      return `${rules.some(({ type }) => type === 'safe_integer') ? 'a whole number' : 'a number'}${inWords(' from', low, high)}`
    case 'string':
      return `text${inWords(' of', low, high, ' characters')}${pattern ? ` \`${pattern}\`` : ''}`
    case 'boolean':
      return '`true` or `false`'
    case 'literal':
      return `\`${JSON.stringify(base.literal)}\``
    case 'picklist':
      return base.options.map((option) => `\`"${option}"\``).join(', ')
    case 'nullable':
      return `${typeOf(base.wrapped)} or \`null\``
    case 'optional':
      return `${typeOf(base.wrapped)}, may be missing`
    case 'array':
      // Some are counted before they are looked into.
      return `an array of ${typeOf((rules.find(({ type }) => type === 'array') ?? base).item)}${inWords(',', low, high, ' of them')}`
    case 'tuple':
      return `\`[\`${base.items.map(typeOf).join(', ')}\`]\``
    case 'tuple_with_rest':
      return `\`[\`${base.items.map(typeOf).join(', ')}, and sometimes ${typeOf(base.rest)}\`]\``
    case 'union':
      return base.options.map(typeOf).join(', or ')
    case 'object':
      return `\`{\` ${Object.entries(base.entries)
        .map(([name, field]) => `\`${name}\`: ${typeOf(field)}`)
        .join('; ')} \`}\``
    case 'unknown':
      return 'any JSON value'
    default:
      throw new Error(`scripts/docs-protocol.mjs: no words for a schema of type ${base.type}`)
  }
}

function inWords(word, low, high, unit = '') {
  if (low === undefined && high === undefined) return ''
  const number = (value) => value.toLocaleString('en')
  if (high === undefined)
    return unit === ''
      ? `${word} ${number(low)}`
      : `${word} at least ${number(low)}${unit.replace(/s$/, low === 1 ? '' : 's')}`
  return low === undefined
    ? `${word} at most ${number(high)}${unit}`
    : `${word} ${number(low)} to ${number(high)}${unit}`
}

// ---- the conversation

const PAGE = 'docs/reference/protocol.md'
const TOPIC = 'rooms/42'
const STARTED_AT = Date.UTC(2026, 10, 22, 9)
/** Between two frames of the client, so that each commit is a row of its own. */
const STEP_MS = 61_000
const TOKEN_MS = 12 * STEP_MS
const BLOCK = /^```json (client|server)\n([\s\S]*?)\n?```$/gm

/**
 * Plays the client's frames of a page to a broker, and puts what it answers into the server's blocks.
 * @param {string} page
 * @returns {string}
 */
export function replay(page) {
  const broker = converse()
  const replayed = page.replace(BLOCK, (_, who, text) => {
    if (who === 'client') broker.hear(text)
    return `\`\`\`json ${who}\n${who === 'client' ? text : broker.next()}\n\`\`\``
  })
  broker.end()
  return replayed
}

function converse() {
  const answers = []
  let now = STARTED_AT
  let heard = ''
  const home = new TopicHome({
    topic: TOPIC,
    retention: { messages: 3 },
    heartbeatMs: HEARTBEAT.everyMs,
    store: new MemoryStore(),
    decode: decodeRequest,
    now: () => now,
    newEpoch: () => makeEpoch(STARTED_AT, () => 0.3),
  })
  const identity = { key: 'issuer user', user: 'ana', rights: 65_535, expiresAt: STARTED_AT + TOKEN_MS }
  const link = home.attach(
    { send: (text) => answers.push(text), close: () => {} },
    { identity, greeted: false, subscriptions: [] },
  )
  const end = () => {
    if (answers.length > 0) throw new Error(`${PAGE}: the server says more than is shown to ${heard}: ${answers[0]}`)
  }
  return {
    hear(text) {
      end()
      heard = text
      home.receive(link, text)
      now += STEP_MS
    },
    next() {
      const answer = answers.shift()
      if (answer === undefined) throw new Error(`${PAGE}: the server says less than is shown to ${heard}`)
      return answer
    },
    end,
  }
}

/** The frames of a page, as they stand there. */
export function framesOf(page) {
  return [...page.matchAll(BLOCK)].map(([, who, text]) => ({ who, text }))
}
