import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeDeliver, encodeError, encodeHistory, encodeResult, splitLines } from './answers.ts'
import { encodeNotification, encodePublish, encodeRequest, LINE_BREAK, parseFrame } from './codec.ts'

const body = ['{"text":"hello"}', '{"text":"you"}'].join(LINE_BREAK)

describe('what goes over the wire', () => {
  it('writes a publish with one payload a line', () => {
    const text = encodePublish(7, { topic: 'chat', publisher: 'p0000001', after: 0, first: 1 }, body)

    expect(text).toBe(
      '{"jsonrpc":"2.0","id":7,"method":"publish","params":{"topic":"chat","publisher":"p0000001","after":0,"first":1,"messages":[\n{"text":"hello"},\n{"text":"you"}\n]}}',
    )
  })

  it('writes a delivery from stored text', () => {
    const text = encodeDeliver(3, { first: 5, next: 7, runs: '["p0000001",1,2,1700000000000]', body }, 900)

    expect(text).toBe(
      '{"jsonrpc":"2.0","method":"deliver","params":{"subscription":3,"first":5,"next":7,"through":900,"runs":[["p0000001",1,2,1700000000000]],"messages":[\n{"text":"hello"},\n{"text":"you"}\n]}}',
    )
  })

  it('writes an empty delivery without lines', () => {
    const text = encodeDeliver(3, { first: 5, next: 5, runs: '', body: '' }, 900)

    expect(text).toBe(
      '{"jsonrpc":"2.0","method":"deliver","params":{"subscription":3,"first":5,"next":5,"through":900,"runs":[],"messages":[]}}',
    )
  })

  it('writes a page of history from stored text', () => {
    const range = { first: 5, next: 7, runs: '["p0000001",1,2,1700000000000]', body }

    const text = encodeHistory(9, { epoch: 'e', more: true }, range)

    expect(text).toBe(
      '{"jsonrpc":"2.0","id":9,"result":{"epoch":"e","more":true,"first":5,"next":7,"runs":[["p0000001",1,2,1700000000000]],"messages":[\n{"text":"hello"},\n{"text":"you"}\n]}}',
    )
  })

  it('writes requests, notifications and results as JSON-RPC 2.0', () => {
    const frames = [
      encodeRequest(1, 'hello', { versions: [1] }),
      encodeNotification('credit', { through: 5 }),
      encodeResult(1, {}),
    ]

    expect(frames).toEqual([
      '{"jsonrpc":"2.0","id":1,"method":"hello","params":{"versions":[1]}}',
      '{"jsonrpc":"2.0","method":"credit","params":{"through":5}}',
      '{"jsonrpc":"2.0","id":1,"result":{}}',
    ])
  })

  it('writes an error with our own code, whether to try again, and when', () => {
    const busy = encodeError(4, { code: 'busy', message: 'later', retryAfterMs: 100 })
    const unread = encodeError(null, { code: 'bad_json', message: 'no "JSON"' })

    expect(JSON.parse(busy)).toEqual({
      jsonrpc: '2.0',
      id: 4,
      error: { code: 1206, message: 'later', data: { code: 'busy', retryable: true, retryAfterMs: 100 } },
    })
    expect(JSON.parse(unread)).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32700, message: 'no "JSON"', data: { code: 'bad_json', retryable: false } },
    })
  })
})

const payload = fc.json()

it('carries any JSON from publish to delivery without changing a character', () => {
  fc.assert(
    fc.property(fc.array(payload, { minLength: 1, maxLength: 20 }), (payloads) => {
      const text = encodePublish(
        1,
        { topic: 't', publisher: 'p0000001', after: 0, first: 1 },
        payloads.join(LINE_BREAK),
      )
      const stored = splitLines(text)?.body ?? ''
      const delivered = encodeDeliver(1, { first: 0, next: payloads.length, runs: '', body: stored }, 0)

      expect(splitLines(delivered)?.body.split(LINE_BREAK)).toEqual(payloads)
      expect(JSON.parse(delivered).params.messages).toEqual(payloads.map((text) => JSON.parse(text)))
    }),
  )
})

it('splits nothing that has no payload lines', () => {
  const frames = [
    '',
    '\n',
    '\n]}}',
    '{"a":[\n]}}',
    encodeRequest(1, 'hello', { versions: [1] }),
    '{\n"a":1\n}',
    encodePublish(1, { topic: 't', publisher: 'p0000001', after: 0, first: 1 }, ''),
  ]

  expect(frames.map(splitLines)).toEqual(frames.map(() => undefined))
})

it.each(['', 'hello', '[]', '[{"jsonrpc":"2.0"}]', 'null', '7', '"text"', 'true', '{', '\ufeff{}'])(
  'reads no frame from %j',
  (text) => {
    expect(parseFrame(text)).toBeUndefined()
  },
)

it('reads any object as a frame', () => {
  expect(parseFrame('{"id":1,"result":{}}')).toEqual({ id: 1, result: {} })
})
