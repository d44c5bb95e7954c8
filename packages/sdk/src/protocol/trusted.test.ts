import fc from 'fast-check'
import { expect, it } from 'vitest'
import { encodeNotification, encodePublish, encodeRequest, LINE_BREAK } from './codec.ts'
import { decodeRequest } from './requests.ts'
import { readRequest } from './trusted.ts'

it.each([
  encodeRequest(1, 'hello', { versions: [1], client: 'test' }),
  encodeRequest(2, 'subscribe', { topic: 'chat', subscription: 1, from: { last: 5 }, window: 1_000 }),
  encodeRequest(3, 'unsubscribe', { topic: 'chat', subscription: 1 }),
  encodeRequest(4, 'history', { topic: 'chat', limit: 10, reverse: true }),
  encodeRequest(5, 'authenticate', { token: 'a.b.c' }),
  encodeNotification('credit', { topic: 'chat', subscription: 1, through: 5 }),
])('reads a frame of ours as the border does: %s', (text) => {
  expect(readRequest(text)).toEqual(decodeRequest(text))
})

it('reads a publish as the border does, whatever it carries', () => {
  const payloads = fc.array(fc.jsonValue({ maxDepth: 3 }), { minLength: 1, maxLength: 30 })

  fc.assert(
    fc.property(payloads, fc.integer({ min: 1, max: 1e9 }), (payloads, first) => {
      const body = payloads.map((payload) => JSON.stringify(payload)).join(LINE_BREAK)
      const text = encodePublish(7, { topic: 'chat', publisher: 'p0000001', after: 0, first }, body)
      const { messages: _lines, ...params } = (readRequest(text) as { params: Record<string, unknown> }).params

      expect({ ...readRequest(text), params }).toEqual(decodeRequest(text))
    }),
  )
})

it.each(['', 'null', '[]', '{}', '{"method":7', 'messkit:ping'])('reads no request from %j', (text) => {
  expect(readRequest(text)).toMatchObject({ id: null, fault: { code: 'bad_frame' } })
})
