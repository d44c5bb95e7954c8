import { LIMITS } from '@messkit/sdk/protocol'
import { type Case, notification, publish, request, TARGET, ws } from '../case.ts'
import type { RuleName } from '../rules.ts'

/** A field of a request: what is wrong with it, field by field. */
interface Field {
  readonly method: string
  readonly field: string
  /** The frame with this JSON text as the field's value; `undefined` leaves it out. */
  readonly frame: (value: string | undefined) => string
}

const TOPIC = { topic: TARGET }
const METHODS: Record<string, object> = {
  hello: { versions: [1], client: 'x' },
  subscribe: { ...TOPIC, subscription: 1, from: 'now', window: 0 },
  unsubscribe: { ...TOPIC, subscription: 1 },
  credit: { ...TOPIC, subscription: 1, through: 1 },
  history: { ...TOPIC, from: 'x', limit: 1, reverse: false },
  publish: {},
}
const PLACE = '@@'

function fieldOf(method: string, field: string): Field {
  const whole = (value: unknown) => {
    const params = { ...METHODS[method], [field]: value }
    if (method === 'publish') return publish('1', params)
    if (method === 'history' && field !== 'from') Object.assign(params, { from: undefined })
    return method === 'credit' ? notification(method, params) : request(method, params)
  }
  return {
    method,
    field,
    frame: (value) => (value === undefined ? whole(undefined) : whole(PLACE).replace(`"${PLACE}"`, () => value)),
  }
}

const NO_NUMBERS: [string, string | undefined][] = [
  ['missing', undefined],
  ['null', 'null'],
  ['a text', '"1"'],
  ['a list', '[1]'],
]
const BAD_NUMBERS: [string, string][] = [
  ['no whole number', '1.5'],
  ['more than a number holds', '9007199254740993'],
  ['beyond all', '1e999'],
]

/** @param bounds values that are just outside */
function numberCases(method: string, field: string, bounds: [string, string][]): Case[] {
  const { frame } = fieldOf(method, field)
  return [...NO_NUMBERS, ...BAD_NUMBERS, ...bounds].map(([name, value]) =>
    ws('badParams', `${method}.${field} that is ${name}`, frame(value)),
  )
}

function valueCases(method: string, field: string, rule: RuleName, values: [string, string | undefined][]): Case[] {
  const { frame } = fieldOf(method, field)
  return values.map(([name, value]) => ws(rule, `${method}.${field} that is ${name}`, frame(value)))
}

const text = (value: string): string => JSON.stringify(value)
const NOTHING: [string, string | undefined][] = [
  ['missing', undefined],
  ['null', 'null'],
]

/** Every field of every method, missing, mistyped and out of its bounds. */
export function fieldCases(): Case[] {
  const named = ['subscribe', 'unsubscribe', 'credit', 'history', 'publish']
  return [
    ...valueCases('hello', 'versions', 'badParams', [
      ...NOTHING,
      ['a number', '1'],
      ['a text', '"1"'],
      ['an empty list', '[]'],
      ['a list of 17', `[${Array(17).fill('1').join()}]`],
      ['a list of texts', '["1"]'],
      ['a list with a number below zero', '[1,-1]'],
      ['a list with a broken number', '[1,1.5]'],
      ['a list of 100,000', `[${Array(100_000).fill('1').join()}]`],
    ]),
    ...valueCases('hello', 'client', 'badParams', [
      ['null', 'null'],
      ['a number', '1'],
      ['65 characters', text('x'.repeat(65))],
      ['an object', '{}'],
    ]),

    ...named.flatMap((method) =>
      valueCases(method, 'topic', 'badNameInFrame', [
        ['an object', '{}'],
        ['empty', '""'],
      ]),
    ),
    ...named.flatMap((method) => valueCases(method, 'topic', 'badParams', [['missing', undefined]])),
    ...valueCases('subscribe', 'topic', 'badNameInFrame', [
      ['null', 'null'],
      ['a number', '7'],
      ['a list', '["a"]'],
      ['a blank', '" "'],
      ['dots', '".."'],
      ['a way up', '"a/../b"'],
      ['reserved', '"_a"'],
      ['begun with a slash', '"/a"'],
      ['ended with a slash', '"a/"'],
      ['the right one and a line break', text(`${TARGET}\n`)],
      ['the right one and a zero character', text(`${TARGET}\0`)],
      ['the right one behind a blank', text(` ${TARGET}`)],
      ['the right one with a Cyrillic letter', text(TARGET.replace('o', '\u043e'))],
      ['the right one with a character of no width', text(TARGET.replace('/', '/\u200b'))],
      ['composed', text('caf\u00e9')],
      ['decomposed', text('cafe\u0301')],
      ['half a surrogate pair', '"\\ud800"'],
      ['a star', '"*"'],
      ['201 bytes', text(`${`${'x'.repeat(49)}/`.repeat(4)}x`)],
      ['nine levels', '"a/b/c/d/e/f/g/h/i"'],
      ['a level of 65 characters', text('x'.repeat(65))],
      ['500,000 characters', text('x'.repeat(500_000))],
      ['500,000 slashes', text('/'.repeat(500_000))],
    ]),
    ...[
      ['subscribe', { ...METHODS.subscribe, topic: 'hostile/other' }],
      ['unsubscribe', { ...METHODS.unsubscribe, topic: 'hostile/other' }],
      ['history', { topic: 'hostile/other', limit: 1 }],
    ].map(([method, params]) => ws('wrongTopic', `${method} of another topic`, request(method as string, params))),
    ws('wrongTopic', 'credit of another topic', notification('credit', { ...METHODS.credit, topic: 'hostile/other' })),
    ws('wrongTopic', 'publish to another topic', publish('1', { topic: 'hostile/other' })),
    ws('wrongTopic', 'a topic in other letters', request('history', { topic: TARGET.toUpperCase(), limit: 1 })),
    ws('wrongTopic', 'a topic above', request('history', { topic: TARGET.split('/')[0], limit: 1 })),
    ws('wrongTopic', 'a topic below', request('history', { topic: `${TARGET}/a`, limit: 1 })),

    ...['subscribe', 'unsubscribe', 'credit'].flatMap((method) =>
      numberCases(method, 'subscription', [
        ['zero', '0'],
        ['below zero', '-1'],
        ['2³²', '4294967296'],
      ]),
    ),
    ...numberCases('subscribe', 'window', [
      ['below zero', '-1'],
      ['over its bound', String(LIMITS.creditBytes + 1)],
    ]),
    ...numberCases('credit', 'through', [['below zero', '-1']]),
    ...numberCases('history', 'limit', [
      ['zero', '0'],
      ['over its bound', String(LIMITS.historyMessages + 1)],
      ['a billion', '1000000000'],
    ]),
    ...numberCases('publish', 'after', [['below zero', '-1']]),
    ...numberCases('publish', 'first', [
      ['zero', '0'],
      ['below zero', '-1'],
      ['the largest, and what follows is none', String(Number.MAX_SAFE_INTEGER)],
    ]),

    ...valueCases('subscribe', 'from', 'badParams', [
      ...NOTHING,
      ['a number', '5'],
      ['true', 'true'],
      ['a list', '["now"]'],
      ['an empty object', '{}'],
      ['a last of none', '{"last":0}'],
      ['a last below zero', '{"last":-1}'],
      ['a last that is text', '{"last":"5"}'],
      ['a last that is no whole number', '{"last":1.5}'],
      ['a last beyond all', '{"last":1e999}'],
      ['a last in the prototype', '{"__proto__":{"last":5}}'],
    ]),
    ...['subscribe', 'history'].flatMap((method) =>
      valueCases(method, 'from', 'badCursor', [
        ['a word', '"yesterday"'],
        ['empty', '""'],
        ['one character short', '"abcdefghijklmnop_000000000000000"'],
        ['one character long', '"abcdefghijklmnop_00000000000000001"'],
        ['without a line between', '"abcdefghijklmnop00000000000000001"'],
        ['in capitals', '"ABCDEFGHIJKLMNOP_0000000000000001"'],
        ['with a sign', '"abcdefghijklmnop_-000000000000001"'],
        ['with a dot', '"abcdefghijklmnop_00000000000001.5"'],
        ['more than a number holds', '"abcdefghijklmnop_9999999999999999"'],
        ['with a line break behind', '"abcdefghijklmnop_0000000000000001\\n"'],
        ['500,000 characters', text('a'.repeat(500_000))],
      ]),
    ),
    ws(
      'badCursor',
      'subscribe.from that is now in capitals',
      request('subscribe', { ...METHODS.subscribe, from: 'NOW' }),
    ),
    ...valueCases('history', 'from', 'badCursor', [
      ['null', 'null'],
      ['a number', '5'],
      ['what subscribe takes', '"start"'],
    ]),
    ...valueCases('history', 'reverse', 'badParams', [
      ['null', 'null'],
      ['a number', '1'],
      ['a text', '"true"'],
    ]),

    ...valueCases('publish', 'publisher', 'badParams', [
      ...NOTHING,
      ['a number', '12345678'],
      ['empty', '""'],
      ['seven characters', '"abcdefg"'],
      ['65 characters', text('x'.repeat(65))],
      ['500,000 characters', text('x'.repeat(500_000))],
      ['two words', '"publisher one"'],
      ['beyond ASCII', '"publ\u0456sher"'],
      ['with a dot, as keys of users have', '"a.publisher"'],
      ['with a quote', '"publisher\'"'],
      ['with a line break behind', '"publisher\\n"'],
      ['with a zero character', '"publisher\\u0000"'],
      ['a list', '["publisher"]'],
    ]),
    ...valueCases('publish', 'ids', 'badParams', [
      ['null', 'null'],
      ['a text', '"publisher"'],
      ['an empty list', '[]'],
      ['an origin alone', '["publisher"]'],
      ['an origin that is none', '["a b",1]'],
      ['an origin that is a number', '[1,1]'],
      ['a number of zero', '["publisher",0]'],
      ['a number that is text', '["publisher","1"]'],
      ['a number that is no whole number', '["publisher",1.5]'],
      ['the largest number, and what follows is none', `["publisher",${Number.MAX_SAFE_INTEGER}]`],
      ['an object', '{"0":"publisher","1":1}'],
    ]),
    ...valueCases('publish', 'keys', 'badParams', [
      ['null', 'null'],
      ['a text', '"a"'],
      ['an empty list', '[]'],
      ['too many', '["a","b"]'],
      ['an empty key', '[""]'],
      ['a number', '[1]'],
      ['an object', '[{}]'],
      ['a list in a list', '[["a"]]'],
      ['half a surrogate pair', '["\\ud800"]'],
      ['the other half', '["\\udc00a"]'],
      ['a key of 257 bytes', `[${text('x'.repeat(LIMITS.keyBytes + 1))}]`],
      ['a key of 257 bytes in two-byte letters', `[${text(`${'ä'.repeat(LIMITS.keyBytes / 2)}x`)}]`],
      ['1,001 keys', `[${Array(1_001).fill('null').join()}]`],
      ['100,000 keys', `[${Array(100_000).fill('0').join()}]`],
    ]),
  ]
}
