import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { ERRORS, type ErrorCode, LIMITS } from '@messkit/sdk/protocol'
import { beforeAll, expect, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { Client, codeOf, makeToken, SECRET, upgradeRequest } from './client.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
const TOPIC = 'bad/input'

beforeAll(() => {
  settings.TOKEN_SECRET = SECRET
})

async function greeted(topic = TOPIC): Promise<Client> {
  const client = new Client(await worker.fetch(upgradeRequest(topic, await makeToken()), settings), topic)
  await client.hello()
  return client
}

const frame = (method: string, params: unknown, rest: object = {}) =>
  JSON.stringify({ jsonrpc: '2.0', id: 9, method, params, ...rest })
const subscribe = (params: object) =>
  frame('subscribe', { topic: TOPIC, subscription: 1, from: 'now', window: 0, ...params })
const publish = (lines: string, params: object = {}) => {
  const head = JSON.stringify({ topic: TOPIC, publisher: 'publisher', after: 0, first: 1, ...params }).slice(0, -1)
  return `{"jsonrpc":"2.0","id":9,"method":"publish","params":${head},"messages":[\n${lines}\n]}}`
}
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const NUL = String.fromCharCode(0)

/** Every one is answered with its code, and changes nothing. */
const CASES: [string, ErrorCode, string | ArrayBuffer][] = [
  ['nothing', 'bad_json', ''],
  ['a word', 'bad_json', 'hello'],
  ['half a frame', 'bad_json', frame('hello', {}).slice(0, -1)],
  ['two frames in one', 'bad_json', frame('hello', {}).repeat(2)],
  ['a NUL', 'bad_json', NUL],
  ['nesting that breaks other parsers', 'bad_json', '['.repeat(200_000)],
  ['nesting without an end', 'bad_frame', nested(100_000)],
  ['null', 'bad_frame', 'null'],
  ['a number', 'bad_frame', '7'],
  ['a string', 'bad_frame', '"hello"'],
  ['a list of frames', 'bad_frame', `[${subscribe({})}]`],
  ['an object', 'bad_frame', '{}'],
  ['bytes', 'bad_frame', new TextEncoder().encode(frame('hello', { versions: [1] })).buffer as ArrayBuffer],
  ['another JSON-RPC', 'bad_frame', frame('hello', { versions: [1] }, { jsonrpc: '1.0' })],
  ['a frame without params', 'bad_frame', '{"jsonrpc":"2.0","id":9,"method":"hello"}'],
  ['params that are a list', 'bad_params', frame('hello', [1])],
  ['a request without an id', 'bad_frame', subscribe({}).replace('"id":9,', '')],
  ['an id that is text', 'bad_frame', frame('hello', { versions: [1] }, { id: 'x' })],
  ['an id that is no whole number', 'bad_frame', frame('hello', { versions: [1] }, { id: 1.5 })],
  ['an unknown method', 'unknown_method', frame('drop', {})],
  ['a method of every object', 'unknown_method', frame('constructor', {})],
  ['a method named __proto__', 'unknown_method', frame('__proto__', {})],

  ['a missing field', 'bad_params', subscribe({ window: undefined })],
  ['a mistyped field', 'bad_params', subscribe({ window: '1' })],
  ['a negative window', 'bad_params', subscribe({ window: -1 })],
  ['a window over the bound', 'bad_params', subscribe({ window: LIMITS.creditBytes + 1 })],
  ['a number beyond the safe ones', 'bad_params', subscribe({}).replace('"window":0', '"window":9007199254740993')],
  ['a number beyond all', 'bad_params', subscribe({}).replace('"window":0', '"window":1e999')],
  ['a subscription of no number', 'bad_params', subscribe({ subscription: null })],
  ['a start that is none', 'bad_params', subscribe({ from: { last: 0 } })],
  ['a garbage cursor', 'bad_cursor', subscribe({ from: 'yesterday' })],
  ['a cursor one character short', 'bad_cursor', subscribe({ from: 'abcdefghijklmnop_000000000000000' })],
  ['a garbage cursor in history', 'bad_cursor', frame('history', { topic: TOPIC, from: 'x', limit: 1 })],
  ['a history without end', 'bad_params', frame('history', { topic: TOPIC, limit: 1_000_000_000 })],
  ['a name outside the rules', 'bad_name', subscribe({ topic: '../secret' })],
  ['a name that is an object', 'bad_name', subscribe({ topic: {} })],
  ['a name beyond ASCII', 'bad_name', subscribe({ topic: 'bäd/input' })],
  ['a name with a line break', 'bad_name', subscribe({ topic: 'bad/input\n' })],
  ['another topic', 'wrong_topic', subscribe({ topic: 'bad/other' })],
  [
    'a subscription that is not there',
    'unknown_subscription',
    frame('unsubscribe', { topic: TOPIC, subscription: 77 }),
  ],

  ['a sequence that was skipped', 'publisher_expired', publish('1', { after: 3, first: 4 })],
  ['a sequence before its predecessor', 'bad_params', publish('1', { after: 5, first: 2 })],
  ['a sequence of zero', 'bad_params', publish('1', { first: 0 })],
  ['a publisher that is none', 'bad_params', publish('1', { publisher: 'a b' })],
  ['a publisher of a thousand characters', 'bad_params', publish('1', { publisher: 'x'.repeat(1000) })],
  ['keys for other messages', 'bad_params', publish('1', { keys: ['a', 'b'] })],
  ['a key that is half a surrogate pair', 'bad_params', publish('1', { keys: ['a'] }).replace('"a"', '"\\ud800"')],
  ['payloads in one line', 'bad_frame', publish('1').replaceAll('\n', '')],
  ['lines of something else', 'bad_frame', publish('1').replace('"messages":', '"massages":')],
  ['lines in another frame', 'bad_frame', publish('1').replace('"publish"', '"history"')],
  [
    'too many messages',
    'bad_params',
    publish(
      Array(LIMITS.messagesPerFrame + 1)
        .fill('1')
        .join(',\n'),
    ),
  ],
]

/** The frame is understood and one of its messages is not: its fate says so. */
const PAYLOADS: [string, ErrorCode, string][] = [
  ['lines that are JSON only together', 'bad_payload', '[1,\n2]'],
  ['strings that are JSON only together', 'bad_payload', '"a,\nb"'],
  ['a way out of the frame', 'bad_payload', '1]},"id":1},{"a":[1'],
  ['two payloads in a line', 'bad_payload', '1,2'],
  ['an empty line', 'bad_payload', '1,\n,\n2'],
  ['no JSON', 'bad_payload', 'undefined'],
  ['not a number', 'bad_payload', 'NaN'],
  ['a half surrogate pair', 'bad_payload', '{"a":"\\ud800"}'],
  ['a half surrogate pair as a key', 'bad_payload', '{"\\udc00":1}'],
  ['too deep', 'too_deep', nested(LIMITS.payloadDepth + 1)],
  ['far too deep', 'too_deep', nested(100_000)],
  ['too large', 'message_too_large', `"${'x'.repeat(LIMITS.messageBytes)}"`],
]

test('answers each bad frame with its own code, stores nothing, and disturbs nobody', async () => {
  const witness = await greeted()
  await witness.subscribe('start')
  let client = await greeted()

  for (const [name, code, bad] of CASES) {
    const before = client.frames.length
    client.send(bad)
    const answer = await client.next((frame) => client.frames.indexOf(frame) >= before)
    expect([name, codeOf(answer)]).toEqual([name, code])
    expect(answer.error).toMatchObject({ code: ERRORS[code].number, data: { retryable: ERRORS[code].retryable } })
    if (client.frames.length > LIMITS.faultsPerLink / 2) client = await greeted()
  }

  expect(await storedRows()).toBe(0)
  expect((await witness.publish(1, ['"well"'])).result).toMatchObject({ fates: [{ fate: 'stored', offset: 0 }] })
  expect((await witness.delivered(1)).flatMap(({ messages }) => messages)).toEqual(['well'])
})

test('refuses each bad payload with its own code and stores nothing of it', async () => {
  const client = await greeted('bad/payloads')

  for (const [name, code, lines] of PAYLOADS) {
    const before = client.frames.length
    client.send(publish(lines, { topic: 'bad/payloads', publisher: `publisher-${before}` }))
    const { result } = await client.next((frame) => client.frames.indexOf(frame) >= before)
    const fates = (result as { fates: { fate: string; code?: string; message?: string }[] } | undefined)?.fates ?? []
    const refused = fates.find(({ fate }) => fate === 'refused')
    expect([name, refused?.code]).toEqual([name, code])
    expect(refused?.message).not.toContain('xxx')
  }
  // What stood before a bad line was good: here, the 1 before the empty line.
  expect((await client.publish(1, ['"next"'], 'publisher-after')).result).toMatchObject({ fates: [{ offset: 1 }] })
})

test('closes the link of a frame that is too large', async () => {
  for (const bad of ['x'.repeat(LIMITS.frameBytes + 1), publish(`"${'ä'.repeat(LIMITS.frameBytes / 2)}"`)]) {
    const client = await greeted()
    client.send(bad)
    expect((await client.closed).code).toBe(4513)
    expect(client.frames.at(-1)).toMatchObject({ method: 'goodbye', params: { code: 'frame_too_large' } })
  }
})

test('closes a link that does not stop', async () => {
  const client = await greeted()

  for (let i = 0; i <= LIMITS.faultsPerLink; i++) client.send('hello')

  expect(await client.closed).toEqual({ code: 4504, reason: 'too_many_faults' })
})

test('takes names that every object has for data', async () => {
  const client = await greeted('bad/prototype')
  await client.subscribe('now')
  const payload = '{"__proto__":{"polluted":true},"constructor":1,"toString":null}'

  await client.publish(1, [payload])

  await client.delivered(1)
  expect(client.texts.find((text) => text.includes('"deliver"'))).toContain(payload)
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})

function storedRows(): Promise<number> {
  return runInDurableObject(settings.TOPICS.getByName(`topic:main:${TOPIC}`), (_, { storage }) =>
    Number(storage.sql.exec('select count(*) as count from chunk').one().count),
  )
}
