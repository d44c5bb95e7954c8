import {
  isDeliver,
  isGap,
  isHello,
  isHistory,
  isPublished,
  isSubscribed,
} from '../../packages/sdk/src/client/guards.ts'
import {
  encodeDeliver,
  encodeError,
  encodeGoodbye,
  encodeHistory,
  encodeResult,
} from '../../packages/sdk/src/protocol/answers.ts'
import { encodeNotification, encodePublish, encodeRequest, parseFrame } from '../../packages/sdk/src/protocol/codec.ts'
import { ERRORS, fault } from '../../packages/sdk/src/protocol/error-codes.ts'
import { REQUESTS } from '../../packages/sdk/src/protocol/frames/requests.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { decodeRequest } from '../../packages/sdk/src/protocol/requests.ts'
import { generator, type Random } from '../support/random.ts'

/**
 * Generated frames through both decoders: the server's, for which all input is hostile, and the client's, which checks what it relies on.
 * Most frames are good ones with a few things wrong, since what is only noise ends at the first check.
 */
export interface FrameFigures {
  readonly count: number
  readonly seed: string
  /** How often each method was understood, and each error was the answer. */
  readonly methods: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
  /** Server frames that the client took, by guard. */
  readonly taken: Readonly<Record<string, number>>
  /** Kinds that must be reached and were not. */
  readonly never: readonly string[]
  /** The first frames that did something else than they may, as text. */
  readonly failures: readonly string[]
}

/** What the decoder can answer: the others are decided behind it. */
const DECODER_ERRORS = [
  'bad_json',
  'bad_frame',
  'unknown_method',
  'bad_params',
  'bad_name',
  'bad_cursor',
  'frame_too_large',
  'message_too_large',
  'too_deep',
  'bad_payload',
] as const
const GUARDS = { isHello, isSubscribed, isDeliver, isGap, isHistory, isPublished }
const FAILURES = 5
const MESSAGE_CHARS = 200
/** One frame in so many is about a bound in bytes, and large. */
const LARGE_EVERY = 5_000

export function decodeFrames(count: number, name = 'frames'): FrameFigures {
  const random = generator(name)
  const methods: Record<string, number> = {}
  const errors: Record<string, number> = {}
  const taken: Record<string, number> = {}
  const failures: string[] = []
  const add = (to: Record<string, number>, key: string) => {
    to[key] = (to[key] ?? 0) + 1
  }
  for (let i = 0; i < count && failures.length < FAILURES; i++) {
    const large = i % LARGE_EVERY === 0
    const toClient = !large && random.below(4) === 0
    const text = large ? largeFrame(random, i / LARGE_EVERY) : makeFrame(random, toClient)
    try {
      const wrong = toClient
        ? receive(text, (guard) => add(taken, guard))
        : request(text, { method: (key) => add(methods, key), error: (key) => add(errors, key) })
      if (wrong !== undefined) failures.push(failure(i, text, wrong))
    } catch (error) {
      failures.push(failure(i, text, String(error)))
    }
  }
  if (({} as { polluted?: unknown }).polluted !== undefined)
    failures.push('a frame has changed the prototype of all objects')
  const never = [
    ...Object.keys(REQUESTS).filter((method) => !methods[method]),
    ...DECODER_ERRORS.filter((code) => !errors[code]),
    ...Object.keys(GUARDS).filter((guard) => !taken[guard]),
  ]
  return { count, seed: random.seed, methods, errors, taken, never, failures }
}

const failure = (index: number, text: string, wrong: string): string =>
  `frame ${index}: ${wrong}\n${JSON.stringify(text.slice(0, 2_000))}`

// ---- the two readers

interface Counted {
  readonly method: (name: string) => void
  readonly error: (code: string) => void
}

/** @returns what is wrong with the answer */
function request(text: string, counted: Counted): string | undefined {
  const answer = decodeRequest(text)
  const reason = 'fault' in answer ? answer.fault : 'lines' in answer ? answer.lines.refused?.fault : undefined
  if (reason) {
    counted.error(reason.code)
    if (!Object.hasOwn(ERRORS, reason.code)) return `the unknown code ${reason.code}`
    if (reason.message.length >= MESSAGE_CHARS) return 'a message that is too long'
    const { id } = answer
    if (id !== null && !(Number.isSafeInteger(id) && id >= 0)) return `the id ${id}`
  }
  if ('fault' in answer) return undefined
  counted.method(answer.method)
  if (!Object.hasOwn(REQUESTS, answer.method)) return `the method ${answer.method}`
  if (!('lines' in answer)) return undefined
  const { count, bytes, body } = answer.lines
  if (count > LIMITS.messagesPerFrame || count < 1) return `${count} messages`
  // Halves of surrogate pairs have no bytes; their line is refused.
  if (body.isWellFormed() && bytes !== Buffer.byteLength(body))
    return `${bytes} bytes instead of ${Buffer.byteLength(body)}`
  // What is stored is sent to every subscriber between brackets: it must be what it was counted to be, for any reader of JSON.
  if (!answer.lines.refused && (JSON.parse(`[${body}]`) as unknown[]).length !== count)
    return 'lines that are not as many payloads'
  return undefined
}

/** What is taken must be safe to use as its guard says. */
function receive(text: string, took: (guard: string) => void): string | undefined {
  const frame = parseFrame(text)
  for (const value of [frame?.params, frame?.result]) {
    for (const [name, guard] of Object.entries(GUARDS)) {
      if (!guard(value)) continue
      took(name)
      const { messages, first, next } = value as { messages?: unknown[]; first?: number; next?: number }
      if (
        messages !== undefined &&
        (name === 'isDeliver' || name === 'isHistory') &&
        messages.length !== Number(next) - Number(first)
      )
        return `${name} took a range of another length`
    }
  }
  return undefined
}

// ---- frames

const TOPIC = 'rooms/42'
const EPOCH = '0mi8zq4k0abcdefg'
const CURSOR = `${EPOCH}_0000000000000001`

const GOOD_REQUESTS: readonly string[] = [
  encodeRequest(1, 'hello', { versions: [1], client: 'fuzz' }),
  encodeRequest(2, 'authenticate', { token: 'a.b.c' }),
  encodeRequest(3, 'subscribe', { topic: TOPIC, subscription: 1, from: { last: 5 }, window: 1_000 }),
  encodeRequest(4, 'subscribe', { topic: TOPIC, subscription: 2, from: CURSOR, window: 0 }),
  encodeRequest(5, 'unsubscribe', { topic: TOPIC, subscription: 1 }),
  encodeNotification('credit', { topic: TOPIC, subscription: 1, through: 5_000 }),
  encodeRequest(6, 'history', { topic: TOPIC, limit: 10, from: CURSOR, reverse: true }),
  encodePublish(
    7,
    { topic: TOPIC, publisher: 'p0000001', after: 0, first: 1 },
    '{"a":"\\ud83d\\ude80"},\n[[1,2],{"b":null}],\n"x"',
  ),
  encodePublish(
    8,
    { topic: TOPIC, publisher: 'p0000001', after: 3, first: 9, ids: ['p0000002', 4], keys: ['k', null] },
    '1,\n2',
  ),
]

const RANGE = {
  first: 3,
  next: 5,
  runs: '["p0000001",1,2,1795338122000,{"ids":["p0000002",4],"keys":["k",null]}]',
  body: '{"a":1},\n"x"',
}
const LIMITS_TOLD = Object.fromEntries(
  ['messageBytes', 'frameBytes', 'messagesPerFrame', 'payloadDepth', 'creditBytes', 'publisherWindow'].map((name) => [
    name,
    1_000,
  ]),
)
const GOOD_ANSWERS: readonly string[] = [
  encodeResult(1, { version: 1, limits: LIMITS_TOLD, nowMs: 1, heartbeatMs: 25_000, user: 'ana', features: [] }),
  encodeResult(2, { cursor: CURSOR, head: 7, gap: { from: 1, to: 3, reason: 'epoch' } }),
  encodeResult(3, { epoch: EPOCH, fates: [{ fate: 'stored', first: 1, count: 2, offset: 0 }] }),
  encodeDeliver(1, RANGE, 141),
  encodeHistory(4, { epoch: EPOCH, more: false }, RANGE),
  encodeNotification('gap', { subscription: 2, from: 1, to: 3, through: 251, reason: 'retention' }),
  encodeGoodbye(fault('token_expired')),
  encodeError(5, { ...fault('busy'), retryAfterMs: 100 }),
]

const PIECES: readonly string[] = [
  ...'{}[],:"0\n\r\\ \0',
  ',\n',
  '\\u',
  '\\ud83d',
  '\ud83d',
  '\ude80',
  '\u2028',
  '\ufeff',
  '\ufffd',
  '\u202e',
  '-1',
  '-0',
  '1e999',
  '9007199254740991',
  '9007199254740993',
  '1.5',
  'null',
  'true',
  'NaN',
  '""',
  '[]',
  '{}',
  '"messages":[',
  '"messages":[\n',
  '\n]}}',
  ']}}',
  '"params":',
  '"result":',
  '"jsonrpc":"2.0"',
  ...Object.keys(REQUESTS).map((method) => `"method":"${method}"`),
  '"id":1',
  '"id":null',
  '"__proto__":',
  '"__proto__":{"polluted":true},',
  '"constructor":',
  `"topic":"${TOPIC}"`,
  '"topic":"r\u043eoms"',
  '"keys":[null]',
  '"from":"now"',
  `"from":"${CURSOR}"`,
  'messkit:ping',
  '['.repeat(70),
  ']'.repeat(70),
  'x'.repeat(300),
]

const VALUES: readonly string[] = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '1',
    '-1',
    '-0',
    '1.5',
    '1e999',
    '9007199254740991',
    '9007199254740993',
    '4294967296',
  ],
  ...['""', '"x"', '"../a"', '"_a"', `"${TOPIC}"`, `"${CURSOR}"`, '"now"', '"\\ud800"', '"\\u0000"', '[]', '[1]', '{}'],
  ...[
    '{"last":1}',
    '[null]',
    '["p0000001",1]',
    '{"__proto__":{"polluted":true}}',
    `"${'x'.repeat(300)}"`,
    '['.repeat(70) + ']'.repeat(70),
  ],
]

/** One of ours, changed in its text or in its structure; or a heap of pieces. */
function makeFrame(random: Random, toClient: boolean): string {
  const kind = random.below(16)
  if (kind === 0) return Array.from({ length: random.below(30) }, () => random.pick(PIECES)).join('')
  if (kind === 1) return String.fromCharCode(...Array.from({ length: random.below(40) }, () => random.below(0x1_0000)))
  let text = random.pick(toClient ? GOOD_ANSWERS : GOOD_REQUESTS)
  for (let changes = random.below(4); changes > 0; changes--)
    text = random.below(2) === 0 ? changeText(random, text) : changeValue(random, text)
  return text
}

/** Something is cut, doubled, put in or put elsewhere. */
function changeText(random: Random, text: string): string {
  const from = random.below(text.length + 1)
  const to = Math.min(text.length, from + random.below(random.below(4) === 0 ? 60 : 4))
  const kind = random.below(4)
  const put =
    kind === 0
      ? ''
      : kind === 1
        ? random.pick(PIECES)
        : kind === 2
          ? text.slice(from, to).repeat(2)
          : String.fromCharCode(random.below(0x1_0000))
  return text.slice(0, from) + put + text.slice(to)
}

const MEMBER = /"(\w+)":("(?:[^"\\\n]|\\.)*"|-?[\d.e]+|true|false|null|\[[^[\]\n]*\]|\{[^{}\n]*\}),?/g

/** A member of the frame gets another value, another name, goes, or stands there twice. */
function changeValue(random: Random, text: string): string {
  const members = [...text.matchAll(MEMBER)]
  if (members.length === 0) return text
  const { 0: whole, 1: name, index } = random.pick(members)
  const comma = whole.endsWith(',') ? ',' : ''
  const kind = random.below(8)
  const put =
    kind === 0
      ? ''
      : kind === 1
        ? `${whole}${comma ? '' : ','}${whole}`
        : kind === 2
          ? whole.replace(
              `"${name}"`,
              `"${random.pick(['__proto__', 'constructor', 'x', 'id', 'method', 'messages'])}"`,
            )
          : `"${name}":${random.pick(VALUES)}${comma}`
  return text.slice(0, index) + put + text.slice(index + whole.length)
}

/** At a bound in bytes, on either side of it. */
function largeFrame(random: Random, turn: number): string {
  const around = (Math.floor(turn / 4) % 3) - 1
  const publish = (body: string) => encodePublish(1, { topic: TOPIC, publisher: 'p0000001', after: 0, first: 1 }, body)
  const letter = random.pick(['x', 'ä', '€'])
  const size = Buffer.byteLength(letter)
  const fill = (bytes: number) => letter.repeat(Math.floor(bytes / size)) + 'x'.repeat(bytes % size)
  switch (turn % 4) {
    case 0:
      return (GOOD_REQUESTS[0] as string).padEnd(LIMITS.frameBytes + around)
    case 1:
      return publish(`"${fill(LIMITS.messageBytes - 2 + around)}"`)
    case 2:
      return publish(
        Array(LIMITS.messagesPerFrame + around)
          .fill('1')
          .join(',\n'),
      )
    default:
      return publish('['.repeat(50_000) + ']'.repeat(50_000))
  }
}
