import { describe, expect, it } from 'vitest'
import { encodeNotification, encodePublish, encodeRequest, LINE_BREAK } from './codec.ts'
import { LIMITS } from './limits.ts'
import { type BadRequest, decodeRequest, type PublishRequest } from './requests.ts'

const PUBLISHER = 'p0000001'
const CURSOR = '0mi8zq4k0abcdefg_0000000000000001'

const HELLO = { versions: [1] }
const SUBSCRIBE = { topic: 'chat', subscription: 1, from: 'now', window: 1_000 }
const PUBLISH = { topic: 'chat', publisher: PUBLISHER, after: 0, first: 1 }
const HISTORY = { topic: 'chat', limit: 10 }

function publish(lines: readonly string[], params: object = {}): string {
  return encodePublish(1, { ...PUBLISH, ...params }, lines.join(LINE_BREAK))
}

function codeOf(text: string): string | undefined {
  return (decodeRequest(text) as Partial<BadRequest>).fault?.code
}

function read(text: string): PublishRequest {
  const request = decodeRequest(text)
  if (!('lines' in request)) throw new Error(JSON.stringify(request))
  return request
}

function refusal(...lines: string[]): { index: number; code: string } | undefined {
  const { refused } = read(publish(lines)).lines
  return refused && { index: refused.index, code: refused.fault.code }
}

describe('what a client may ask', () => {
  it.each([
    ['hello', HELLO],
    ['hello', { ...HELLO, client: 'test' }],
    ['authenticate', { token: 'a.b.c' }],
    ['subscribe', SUBSCRIBE],
    ['subscribe', { ...SUBSCRIBE, from: 'start' }],
    ['subscribe', { ...SUBSCRIBE, from: { last: 5 } }],
    ['subscribe', { ...SUBSCRIBE, from: CURSOR }],
    ['unsubscribe', { topic: 'chat', subscription: 1 }],
    ['history', HISTORY],
    ['history', { ...HISTORY, from: CURSOR, reverse: true }],
  ])('reads %s with %j', (method, params) => {
    const request = decodeRequest(encodeRequest(7, method, params))

    expect(request).toEqual({ method, id: 7, params })
  })

  it('reads credit without an id, as the notification that it is', () => {
    const request = decodeRequest(encodeNotification('credit', { topic: 'chat', subscription: 1, through: 99 }))

    expect(request).toMatchObject({ method: 'credit', params: { topic: 'chat', subscription: 1, through: 99 } })
  })

  it('reads a publish, and hands its payloads on as the text they were', () => {
    const lines = [' {"a" : 1}', '"\u2028 é 🚀"', 'null', '1e3', '[]']

    const { params, lines: found } = read(publish(lines))

    expect(params).toEqual(PUBLISH)
    expect(found).toEqual({
      body: lines.join(LINE_BREAK),
      count: 5,
      bytes: new TextEncoder().encode(lines.join(LINE_BREAK)).length,
    })
  })

  it('reads keys and minted ids beside the payloads', () => {
    const { params } = read(publish(['1', '2'], { keys: ['é', null], ids: ['someone_else', 40] }))

    expect(params).toMatchObject({ keys: ['é', null], ids: ['someone_else', 40] })
  })

  it('ignores fields that it does not know', () => {
    const text = '{"jsonrpc":"2.0","id":1,"method":"hello","later":{"x":[1]},"params":{"versions":[1],"later":true}}'

    expect(decodeRequest(text)).toEqual({ method: 'hello', id: 1, params: HELLO })
  })
})

describe('a frame that is none', () => {
  it.each([
    ['nothing', ''],
    ['a space', ' '],
    ['a word', 'hello'],
    ['half an object', '{"jsonrpc":"2.0"'],
    ['two objects', '{}{}'],
    ['single quotes', "{'jsonrpc':'2.0'}"],
    ['a comment', '/* */{}'],
    ['a comma at the end', '{"jsonrpc":"2.0",}'],
    ['NaN', '{"id":NaN}'],
    ['a byte order mark', '\ufeff{}'],
    ['the heartbeat', 'messkit:ping'],
    ['a line break in a string', '{"a":"\n"}'],
  ])('is not JSON: %s', (_what, text) => {
    expect(decodeRequest(text)).toMatchObject({ id: null, fault: { code: 'bad_json' } })
  })

  it.each([
    'null',
    'true',
    '7',
    '-0',
    '"hello"',
    '[]',
    '[[]]',
    '{}',
    '[{"jsonrpc":"2.0","id":1,"method":"hello","params":{}}]',
  ])('is JSON, but no JSON-RPC request: %s', (text) => {
    expect(decodeRequest(text)).toMatchObject({ id: null, fault: { code: 'bad_frame' } })
  })

  it.each([
    ['no version', { id: 5, method: 'hello', params: HELLO }],
    ['another version', { jsonrpc: '1.0', id: 5, method: 'hello', params: HELLO }],
    ['no method', { jsonrpc: '2.0', id: 5, params: HELLO }],
    ['a method that is no text', { jsonrpc: '2.0', id: 5, method: ['hello'], params: HELLO }],
    ['no parameters', { jsonrpc: '2.0', id: 5, method: 'hello' }],
    ['parameters that are text', { jsonrpc: '2.0', id: 5, method: 'hello', params: 'now' }],
    ['parameters that are null', { jsonrpc: '2.0', id: 5, method: 'hello', params: null }],
  ])('is answered under its id: %s', (_what, frame) => {
    expect(decodeRequest(JSON.stringify(frame))).toMatchObject({ id: 5, fault: { code: 'bad_frame' } })
  })

  it.each([
    ['text', '"1"'],
    ['a fraction', '1.5'],
    ['below zero', '-1'],
    ['beyond the safe integers', '9007199254740993'],
    ['null', 'null'],
    ['an object', '{}'],
    ['a list', '[1]'],
    ['infinite', '1e999'],
  ])('has an id that is no whole number from 0: %s', (_what, id) => {
    const text = `{"jsonrpc":"2.0","id":${id},"method":"hello","params":{"versions":[1]}}`

    expect(decodeRequest(text)).toMatchObject({ id: null, fault: { code: 'bad_frame' } })
  })

  it('has no id although it asks for an answer', () => {
    expect(codeOf(encodeNotification('hello', HELLO))).toBe('bad_frame')
  })

  it.each(['', 'Hello', 'deliver', 'constructor', 'toString', '__proto__', 'hasOwnProperty', 'hello\0'])(
    'asks for a method that is not there: %j',
    (method) => {
      const text = JSON.stringify({ jsonrpc: '2.0', id: 5, method, params: {} })

      expect(decodeRequest(text)).toMatchObject({ id: 5, fault: { code: 'unknown_method' } })
    },
  )
})

describe('fields', () => {
  const WRONG = [null, true, 1.5, -1, 2 ** 53, 'text', '', [], {}, [[]]]
  const complete: [string, Record<string, unknown>][] = [
    ['hello', HELLO],
    ['authenticate', { token: 'a.b.c' }],
    ['subscribe', SUBSCRIBE],
    ['unsubscribe', { topic: 'chat', subscription: 1 }],
    ['credit', { topic: 'chat', subscription: 1, through: 5 }],
    ['history', HISTORY],
  ]
  const missing = complete.flatMap(([method, params]) =>
    Object.keys(params).map((field) => ({ method, params, field })),
  )

  it.each(missing)('$method without $field names the field', ({ method, params, field }) => {
    const { [field]: _left, ...rest } = params

    const { fault } = decodeRequest(encodeRequest(1, method, rest)) as BadRequest

    expect(['bad_params', 'bad_name', 'bad_cursor']).toContain(fault.code)
    if (fault.code === 'bad_params') expect(fault.message).toContain(`${field}: missing`)
  })

  it.each(missing)('$method refuses $field of another type', ({ method, params, field }) => {
    const fits = (value: unknown) =>
      typeof value === typeof params[field] && Array.isArray(value) === Array.isArray(params[field])
    // Text is an allowed token, and a name that nobody uses yet is still a name.
    const wrong = WRONG.filter((value) => !fits(value) || value === '' || typeof value === 'number')

    const codes = wrong.map((value) => codeOf(encodeRequest(1, method, { ...params, [field]: value })))

    expect(codes).not.toContain(undefined)
  })

  it.each(['topic', 'publisher', 'after', 'first'])('publish without %s is refused', (field) => {
    const { [field]: _left, ...rest } = PUBLISH as Record<string, unknown>

    const text = encodePublish(1, rest as never, '1')

    expect(codeOf(text)).toMatch(/bad_params|bad_name/)
  })

  it.each([
    [{ after: -1 }],
    [{ after: 0.5 }],
    [{ after: '0' }],
    [{ first: 0 }],
    [{ first: 2 ** 53 }],
    [{ publisher: 'short' }],
    [{ publisher: 'x'.repeat(65) }],
    [{ publisher: 'with space' }],
    [{ publisher: 'umlaut_ä_in_it' }],
    [{ publisher: 'dot.in.it.too' }],
    [{ ids: [PUBLISHER] }],
    [{ ids: [PUBLISHER, 0] }],
    [{ keys: ['a', 'b'] }],
    [{ keys: [] }],
    [{ keys: [''] }],
    [{ keys: ['\ud800'] }],
    [{ keys: ['é'.repeat(129)] }],
    [{ keys: [7] }],
    [{ keys: 'a' }],
  ])('publish refuses %j', (params) => {
    expect(codeOf(publish(['1'], params))).toBe('bad_params')
  })

  it.each([{ first: Number.MAX_SAFE_INTEGER, after: 0 }, { ids: [PUBLISHER, Number.MAX_SAFE_INTEGER] }])(
    'publish refuses numbers that its last message would carry beyond the safe integers: %j',
    (params) => {
      expect(codeOf(publish(['1', '2'], params))).toBe('bad_params')
    },
  )

  it.each([
    '',
    '/',
    'a//b',
    '..',
    '_mine',
    'r\u043eoms',
    '\uff52ooms',
    'caf\u00e9',
    'cafe\u0301',
    'rooms\n',
    'x'.repeat(201),
  ])('the topic %j is no name', (topic) => {
    const texts = [
      publish(['1'], { topic }),
      encodeRequest(1, 'subscribe', { ...SUBSCRIBE, topic }),
      encodeRequest(1, 'history', { ...HISTORY, topic }),
    ]

    expect(texts.map(codeOf)).toEqual(['bad_name', 'bad_name', 'bad_name'])
  })

  it.each(['', 'garbage', CURSOR.slice(1), `${CURSOR} `, CURSOR.toUpperCase(), '0mi8zq4k0abcdefg_9999999999999999'])(
    'the cursor %j is not ours',
    (from) => {
      const texts = [
        encodeRequest(1, 'subscribe', { ...SUBSCRIBE, from }),
        encodeRequest(1, 'history', { ...HISTORY, from }),
      ]

      expect(texts.map(codeOf)).toEqual(['bad_cursor', 'bad_cursor'])
    },
  )

  it.each([{ last: 0 }, { last: -1 }, { last: 1.5 }, {}, null, 7, []])('nobody can start from %j', (from) => {
    expect(codeOf(encodeRequest(1, 'subscribe', { ...SUBSCRIBE, from }))).toBe('bad_params')
  })

  it('bounds the window, the page and the versions', () => {
    const texts = [
      encodeRequest(1, 'subscribe', { ...SUBSCRIBE, window: LIMITS.creditBytes + 1 }),
      encodeRequest(1, 'history', { ...HISTORY, limit: LIMITS.historyMessages + 1 }),
      encodeRequest(1, 'history', { ...HISTORY, limit: 0 }),
      encodeRequest(1, 'hello', { versions: Array(17).fill(1) }),
      encodeRequest(1, 'hello', { versions: [] }),
    ]

    expect(texts.map(codeOf)).toEqual(Array(5).fill('bad_params'))
  })

  it('takes keys that are called like parts of objects as data', () => {
    const text = `{"jsonrpc":"2.0","__proto__":{"id":9},"id":1,"method":"hello","params":{"__proto__":{"versions":[1]},"constructor":1}}`

    expect(decodeRequest(text)).toMatchObject({ id: 1, fault: { code: 'bad_params' } })
    expect(({} as Record<string, unknown>).versions).toBeUndefined()
  })

  it('never repeats what it was sent', () => {
    const secret = 'hunter2-hunter2'
    const texts = [
      encodeRequest(1, secret, {}),
      encodeRequest(1, 'authenticate', { token: [secret] }),
      encodeRequest(1, 'subscribe', { ...SUBSCRIBE, topic: `_${secret}` }),
      encodeRequest(1, 'subscribe', { ...SUBSCRIBE, from: secret }),
      publish(['1'], { publisher: `${secret} ` }),
      publish([secret]),
    ]

    const answers = texts.map((text) =>
      JSON.stringify({ ...decodeRequest(text), params: undefined, lines: { body: undefined } }),
    )

    expect(answers.filter((text) => text.includes(secret))).toEqual([])
  })

  it('counts before it looks, so that a frame full of wrong fields costs no more than reading it', () => {
    const { fault } = decodeRequest(encodeRequest(1, 'hello', { versions: Array(300_000).fill('') })) as BadRequest

    expect(fault.message).toBe('versions: out of its bounds')
  })
})

describe('payload lines', () => {
  it('refuses a publish of nothing', () => {
    expect(codeOf(encodePublish(1, PUBLISH, ''))).toBe('bad_frame')
  })

  it('refuses payloads that do not stand one per line', () => {
    const texts = [
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'publish', params: { ...PUBLISH, messages: [1, 2] } }),
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'publish', params: { ...PUBLISH, messages: [1, 2] } }, null, 1),
      publish(['1']).replace('[\n', '['),
      publish(['1']).replace('\n]', ']'),
      publish(['1', '2']).replace(',\n2', '\n,2'),
      publish(['1', '2']).replace(',\n2', '\n2'),
    ]

    expect(texts.map(codeOf)).toEqual(texts.map(() => 'bad_frame'))
  })

  it('refuses lines in a frame that is no publish', () => {
    const text = '{"jsonrpc":"2.0","id":1,"method":"hello","params":{"versions":[1],"messages":[\n1\n]}}'

    expect(codeOf(text)).toBe('bad_frame')
  })

  it.each([
    ['a value over two lines', ['[1', '2]'], 0],
    ['a string over two lines', ['"a', 'b"'], 0],
    ['two values in one line', ['1', '1,2'], 1],
    ['a line without a value', ['1', '', '3'], 1],
    ['a line of spaces', ['1', '  '], 1],
    ['a comma at the end', ['1', '2,'], 1],
    ['a word', ['1', '2', 'undefined'], 2],
    ['a closing bracket', [']'], 0],
    ['a frame that ends early', ['1]}}'], 0],
    ['single quotes', ["'a'"], 0],
    ['a comment', ['1 // one'], 0],
    ['a byte order mark', ['\ufeff1'], 0],
    ['a raw tab in a string', ['"\t"'], 0],
  ])('a payload must be JSON by itself: %s', (_what, lines, index) => {
    expect(refusal(...lines)).toEqual({ index, code: 'bad_payload' })
  })

  it.each([
    ['an escaped half of a pair', '"\\ud83d"'],
    ['the other half', '"\\ude80 alone"'],
    ['halves in the wrong order', '"\\ude80\\ud83d"'],
    ['capital digits', '"\\uD83D"'],
    ['in a key', '{"\\ud83d":1}'],
    ['deep inside', '[[{"a":["\\udc00"]}]]'],
    ['a raw half, as only a link inside a process can carry it', '"\ud83d"'],
    ['a raw half in a key', '{"\ud83d":1}'],
  ])('a payload must be well-formed: %s', (_what, line) => {
    expect(refusal('1', line, '2')).toEqual({ index: 1, code: 'bad_payload' })
  })

  it.each(['"\\ud83d\\ude80"', '"\\\\ud83d"', '"\\u0000"', '{"\\u0061":1}', '"\u2028\u2029"'])('takes %s', (line) => {
    expect(refusal(line)).toBeUndefined()
  })

  it.each(['{"__proto__":1}', '{"constructor":{"prototype":1}}', '{"__proto__":{"__proto__":null}}', '{"a":1,"a":2}'])(
    'takes the names of object parts as data: %s',
    (line) => {
      const { body } = read(publish([line])).lines

      expect(body).toBe(line)
    },
  )

  it.each([65, 10_000, 120_000])('refuses %i levels of nesting without running out of stack', (depth) => {
    const lines = ['['.repeat(depth) + ']'.repeat(depth), '{"a":'.repeat(65) + '1' + '}'.repeat(65)]

    expect(lines.map((line) => refusal(line)?.code)).toEqual(['too_deep', 'too_deep'])
  })

  it('survives 200,000 levels of nesting in the head of a frame', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)

    const codes = [
      deep,
      `{"jsonrpc":"2.0","id":1,"method":"hello","params":${deep}}`,
      `{"jsonrpc":"2.0","id":1,"method":${deep},"params":{}}`,
    ].map(codeOf)

    expect(codes).toEqual(['bad_frame', 'bad_params', 'bad_frame'])
  })

  it('takes 64 levels, and brackets that are only text', () => {
    const deepest = `${'['.repeat(64)}${']'.repeat(64)}`
    const wide = JSON.stringify(Array(500).fill([]))
    const text = JSON.stringify('['.repeat(500))

    expect(refusal(deepest, wide, text)).toBeUndefined()
  })

  it('reads as far as the first payload that cannot be stored', () => {
    const { lines } = read(publish(['1', 'x', '3', 'y']))

    expect(lines).toMatchObject({ count: 4, refused: { index: 1, fault: { code: 'bad_payload' } } })
  })

  it('bounds a payload by its bytes, not by its characters', () => {
    const fits = `"${'é'.repeat(LIMITS.messageBytes / 2 - 1)}"`
    const wider = `"${'é'.repeat(LIMITS.messageBytes / 2 - 1)}a"`

    expect([refusal(fits), refusal(wider)]).toEqual([undefined, { index: 0, code: 'message_too_large' }])
  })

  it('bounds the messages of a frame', () => {
    const most = Array(LIMITS.messagesPerFrame).fill('1')

    expect(read(publish(most)).lines.count).toBe(LIMITS.messagesPerFrame)
    expect(codeOf(publish([...most, '1']))).toBe('bad_params')
  })

  it('bounds the bytes of a frame before it reads it', () => {
    const line = JSON.stringify('x'.repeat(200_000))
    const ascii = publish(Array(6).fill(line))
    const wide = JSON.stringify('é'.repeat(LIMITS.frameBytes / 2))

    expect(decodeRequest(ascii)).toMatchObject({ id: null, fault: { code: 'frame_too_large' } })
    expect(decodeRequest(wide)).toMatchObject({ id: null, fault: { code: 'frame_too_large' } })
  })

  it('refuses a frame with CRLF line ends', () => {
    const text = publish(['1', '2']).replaceAll('\n', '\r\n')

    expect(codeOf(text)).toBe('bad_frame')
  })

  it.each([
    [
      'elsewhere in the frame',
      '{"jsonrpc":"2.0","id":1,"method":"publish","params":HEAD},"more":{"messages":[\n1\n]}}',
    ],
    ['in a deeper object', '{"jsonrpc":"2.0","id":1,"method":"publish","params":HEAD,"more":{"messages":[\n1\n]}}}'],
    [
      'under a key that only ends like it',
      '{"jsonrpc":"2.0","id":1,"method":"publish","params":HEAD,"x\\"messages":[\n1\n]}}',
    ],
    [
      'twice',
      '{"jsonrpc":"2.0","id":1,"method":"publish","params":HEAD,"messages":[1,2],"more":0,"messages":[\n1\n]}}',
    ],
    [
      'twice, the second elsewhere',
      '{"jsonrpc":"2.0","id":1,"method":"publish","params":HEAD,"messages":[]},"more":{"messages":[\n1\n]}}',
    ],
    [
      'in parameters that come twice',
      '{"jsonrpc":"2.0","params":HEAD},"id":1,"method":"publish","params":HEAD,"messages":[\n1\n]}}',
    ],
  ])('refuses messages that another reader of the frame would not find where they are: %s', (_where, frame) => {
    const text = frame.replaceAll('HEAD', JSON.stringify(PUBLISH).slice(0, -1))

    expect(codeOf(text)).toBe('bad_frame')
  })
})
