import { HEARTBEAT, LIMITS } from '@messkit/sdk/protocol'
import { type Case, ID, notification, publish, request, TARGET, ws } from '../case.ts'
import type { RuleName } from '../rules.ts'
import { frame } from '../wire.ts'

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const HELLO = request('hello', { versions: [1] })
const SUBSCRIBE = { topic: TARGET, subscription: 1, from: 'now', window: 0 }

/** Text that is no frame, and frames that are no requests. */
export function frameCases(): Case[] {
  const bad: [RuleName, string, string | Buffer][] = [
    ['notJson', 'nothing', ''],
    ['notJson', 'a letter', 'a'],
    ['notJson', 'a word', 'hello'],
    ['notJson', 'a blank', ' '],
    ['notJson', 'a line break', '\n'],
    ['notJson', 'a zero character', '\0'],
    ['notJson', 'a mark of the byte order', `\ufeff${HELLO}`],
    ['notJson', 'half a frame', HELLO.slice(0, -1)],
    ['notJson', 'a frame and a bracket', `${HELLO}}`],
    ['notJson', 'two frames in one', HELLO.repeat(2)],
    ['notJson', 'two frames in two lines', `${HELLO}\n${HELLO}`],
    ['notJson', 'single quotes', HELLO.replaceAll('"', "'")],
    ['notJson', 'names without quotes', HELLO.replace('"jsonrpc"', 'jsonrpc')],
    ['notJson', 'a comma too many', HELLO.replace('}}', '},}')],
    ['notJson', 'a comment', HELLO.replace('{', '{/**/')],
    ['notJson', 'not a number', HELLO.replace('[1]', '[NaN]')],
    ['notJson', 'a hexadecimal number', HELLO.replace('[1]', '[0x1]')],
    ['notJson', 'a number with a zero in front', HELLO.replace('[1]', '[01]')],
    ['notJson', 'undefined', HELLO.replace('[1]', 'undefined')],
    ['notJson', 'half an escape', HELLO.replace('hello', 'hell\\u00')],
    ['notJson', 'an escape that is none', HELLO.replace('hello', 'hell\\x6f')],
    ['notJson', 'a control character in a text', HELLO.replace('hello', 'hel\u0001lo')],
    ['notJson', 'a tab in a text', HELLO.replace('hello', 'hel\tlo')],
    ['notJson', 'nesting without an end', '['.repeat(200_000)],
    ['notJson', 'objects without an end', '{"a":'.repeat(100_000)],
    ['notJson', 'a mebibyte of blanks', ' '.repeat(LIMITS.frameBytes)],
    ['notJson', 'HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['notJson', 'XML', '<hello/>'],
    ['notJson', 'a heartbeat with a line break', `${HEARTBEAT.ask}\n`],
    ['notJson', 'a heartbeat in capitals', HEARTBEAT.ask.toUpperCase()],
    ['notJson', 'a heartbeat twice', HEARTBEAT.ask.repeat(2)],
    ['notJson', 'the answer to a heartbeat', HEARTBEAT.answer],
    ['notFrame', 'a heartbeat in quotes', JSON.stringify(HEARTBEAT.ask)],
    ['notFrame', 'a heartbeat as bytes', frame(2, HEARTBEAT.ask)],
    ['notFrame', 'a frame as bytes', frame(2, HELLO)],
    ['notFrame', 'no bytes', frame(2)],
    ['notFrame', 'a mebibyte of bytes', frame(2, Buffer.alloc(LIMITS.frameBytes))],
    ['notFrame', 'null', 'null'],
    ['notFrame', 'true', 'true'],
    ['notFrame', 'a number', '7'],
    ['notFrame', 'a number beyond all', '1e999'],
    ['notFrame', 'a text', '"hello"'],
    ['notFrame', 'an empty list', '[]'],
    ['notFrame', 'a list of frames', `[${HELLO}]`],
    ['notFrame', 'lists in lists', nested(100_000)],
    ['notFrame', 'an empty object', '{}'],
    ['notFrame', 'an object with 10,000 names', `{${Array.from({ length: 10_000 }, (_, i) => `"${i}":0`).join()}}`],
    ['notFrame', 'a result', `{"jsonrpc":"2.0","id":${ID},"result":{}}`],
    ['notFrame', 'an error', `{"jsonrpc":"2.0","id":${ID},"error":{"code":1,"message":""}}`],
    [
      'unknownMethod',
      'a delivery',
      notification('deliver', { subscription: 1, first: 0, next: 0, through: 0, runs: [] }),
    ],
    ['unknownMethod', 'a goodbye', notification('goodbye', { code: 'internal', retryable: true })],
    ['unknownMethod', 'a method nobody knows', request('dance', {})],
    ['unknownMethod', 'an empty method', request('', {})],
    ['unknownMethod', 'a method in capitals', request('HELLO', { versions: [1] })],
    ['unknownMethod', 'a method with a blank', request('hello ', { versions: [1] })],
    ['unknownMethod', 'a method that every object has', request('toString', {})],
    ['unknownMethod', 'the maker of every object', request('constructor', {})],
    ['unknownMethod', 'the prototype', request('__proto__', {})],
    ['unknownMethod', 'a method of a later version', request('signal', { topic: TARGET })],
    ['unknownMethod', 'a method of 100,000 characters', request('x'.repeat(100_000), {})],
    ['notFrame', 'no version of JSON-RPC', HELLO.replace('"jsonrpc":"2.0",', '')],
    ['notFrame', 'an older JSON-RPC', request('hello', {}, { jsonrpc: '1.0' })],
    ['notFrame', 'JSON-RPC as a number', request('hello', {}, { jsonrpc: 2.0 })],
    ['notFrame', 'no method', request('hello', {}, { method: undefined })],
    ['notFrame', 'a method that is null', request('hello', {}, { method: null })],
    ['notFrame', 'a method that is a list', request('hello', {}, { method: ['hello'] })],
    ['notFrame', 'no params', request('hello', undefined)],
    ['notFrame', 'params that are null', request('hello', null)],
    ['notFrame', 'params that are a text', request('hello', '{}')],
    ['badParams', 'params that are a list', request('hello', [1])],
    ['notFrame', 'an id that is text', request('hello', { versions: [1] }, { id: '9' })],
    ['notFrame', 'an id that is null', request('hello', { versions: [1] }, { id: null })],
    ['notFrame', 'an id below zero', request('hello', { versions: [1] }, { id: -1 })],
    ['notFrame', 'an id that is no whole number', request('hello', { versions: [1] }, { id: 1.5 })],
    ['notFrame', 'an id that no number holds', HELLO.replace(`"id":${ID}`, '"id":9007199254740993')],
    ['notFrame', 'an id that is a list', request('hello', { versions: [1] }, { id: [9] })],
    ['notFrame', 'an id that is an object', request('hello', { versions: [1] }, { id: { toString: 1 } })],
  ]
  const requests: [string, object][] = [
    ['hello', { versions: [1] }],
    ['authenticate', { token: 'a.b.c' }],
    ['subscribe', SUBSCRIBE],
    ['unsubscribe', { topic: TARGET, subscription: 1 }],
    ['history', { topic: TARGET, limit: 1 }],
  ]
  const beforeHello = requests.slice(1).concat([['credit', { topic: TARGET, subscription: 1, through: 1 }]])

  return [
    ...bad.map(([rule, name, text]) => ws(rule, name, text)),
    // One of each kind before hello, where the same reader stands in front of other decisions.
    ...['nothing', 'nesting without an end', 'lists in lists', 'a frame as bytes', 'a list of frames', 'no params'].map(
      (name) => {
        const [rule, , text] = bad.find((row) => row[1] === name) as (typeof bad)[number]
        return ws(rule, `${name}, before hello`, text, { as: 'stranger' })
      },
    ),
    ws('unknownMethod', 'a method nobody knows, before hello', request('dance', {}), { as: 'stranger' }),
    ws('badParams', 'a hello without versions, before hello', request('hello', {}), { as: 'stranger' }),
    ...requests.map(([method, params]) => ws('notFrame', `a ${method} without an id`, notification(method, params))),
    ws('notFrame', 'a publish without an id', publish('1').replace(`"id":${ID},`, '')),
    ...beforeHello.map(([method, params]) =>
      ws(
        'helloNeeded',
        `a ${method} before hello`,
        method === 'credit' ? notification(method, params) : request(method, params),
        { as: 'stranger' },
      ),
    ),
    ws('helloNeeded', 'a publish before hello', publish('1'), { as: 'stranger' }),
    ws('otherVersion', 'a hello of version 2', request('hello', { versions: [2] }), { as: 'stranger' }),
    ws('otherVersion', 'a hello of version 0', request('hello', { versions: [0] }), { as: 'stranger' }),
    ws('otherVersion', 'a second hello of another version', request('hello', { versions: [7, 8] }), { fresh: true }),
    ws('again', 'a second hello', HELLO),
    ws('again', 'the same id twice', [HELLO, HELLO]),
    ws('again', 'the largest id', request('hello', { versions: [1] }, { id: Number.MAX_SAFE_INTEGER })),

    ws('heartbeat', 'a heartbeat', HEARTBEAT.ask),
    ws('heartbeat', 'a heartbeat before hello', HEARTBEAT.ask, { as: 'stranger' }),
    ws('heartbeat', '1,000 heartbeats', Array(1_000).fill(HEARTBEAT.ask), { fresh: true }),
    ws('heartbeat', 'a heartbeat in two fragments', [
      frame(1, HEARTBEAT.ask.slice(0, 4), { fin: false }),
      frame(0, HEARTBEAT.ask.slice(4)),
    ]),

    ws('largeFrame', 'a frame of one byte too many', 'x'.repeat(LIMITS.frameBytes + 1), { fresh: true }),
    ws(
      'largeFrame',
      'a frame of bytes too many, in two-byte letters',
      publish(`"${'ä'.repeat(LIMITS.frameBytes / 2)}"`),
      { fresh: true },
    ),
    ws('largeFrame', 'a frame of 4 MiB', ' '.repeat(4 * LIMITS.frameBytes), { fresh: true }),
    ws('largeFrame', 'a large frame before hello', 'x'.repeat(LIMITS.frameBytes + 1), { as: 'stranger' }),
    ws(
      'largeFrame',
      'a large frame in fragments',
      [frame(1, 'x'.repeat(LIMITS.frameBytes), { fin: false }), frame(0, 'x')],
      { fresh: true },
    ),
    ws('notFrame', 'too many bytes that are no text', frame(2, Buffer.alloc(LIMITS.frameBytes + 1)), { fresh: true }),
    ws('manyFaults', 'words without an end', Array(LIMITS.faultsPerLink + 1).fill('hello'), { fresh: true }),
    ws('manyFaults', 'words without an end, before hello', Array(LIMITS.faultsPerLink + 1).fill('hello'), {
      as: 'stranger',
    }),
    ws('manyFaults', 'bad fields without an end', Array(LIMITS.faultsPerLink + 1).fill(request('subscribe', {})), {
      fresh: true,
    }),
    ws('manyFaults', 'bytes without an end', Array(LIMITS.faultsPerLink + 1).fill(frame(2, 'x')), { fresh: true }),

    ws('extras', 'a field nobody knows', request('hello', { versions: [1], x: 1 }, { y: 2 })),
    ws('extras', 'a prototype as a field', HELLO.replace('{"versions"', '{"__proto__":{"versions":[]},"versions"')),
    ws('extras', 'a prototype around the frame', HELLO.replace('{', '{"__proto__":{"id":7,"method":"history"},')),
    ws(
      'extras',
      'a constructor as a field',
      HELLO.replace('{"versions"', '{"constructor":{"prototype":{"a":1}},"versions"'),
    ),
    ws('extras', 'a method twice', HELLO.replace('"method":"hello"', '"method":"dance","method":"hello"')),
    ws('extras', 'params twice', HELLO.replace('"params"', '"params":[],"params"')),
    ws('extras', 'an id twice', HELLO.replace('"id"', '"id":"x","id"')),
    ws('extras', 'fields in another order', `{"params":{"versions":[1]},"method":"hello","id":${ID},"jsonrpc":"2.0"}`),
    ws('extras', 'letters as escapes', HELLO.replace('hello', '\\u0068ello')),
    ws('extras', 'blanks around everything', ` \r\t${HELLO.replaceAll(':', ' : ')} `),
    ws('extras', 'a number as 9.0', HELLO.replace(`"id":${ID}`, `"id":${ID}.0`)),
    ws('extras', 'a number as 9e0', HELLO.replace(`"id":${ID}`, `"id":${ID}e0`)),
    ws('extras', 'deep values in unknown fields', HELLO.replace('{"versions"', `{"x":${nested(5_000)},"versions"`)),
    ws(
      'extras',
      'many unknown fields',
      HELLO.replace('{"versions"', `{${Array.from({ length: 20_000 }, (_, i) => `"x${i}":0,`).join('')}"versions"`),
    ),
  ]
}
