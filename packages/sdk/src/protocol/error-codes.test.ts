import { expect, it } from 'vitest'
import { ERRORS, type ErrorFacts, fault } from './error-codes.ts'

const rows: [string, ErrorFacts][] = Object.entries(ERRORS)

it('gives every failure a number of its own', () => {
  const numbers = rows.map(([, { number }]) => number)

  expect(new Set(numbers).size).toBe(numbers.length)
})

it('keeps to the numbers that JSON-RPC leaves to applications, but for its own five', () => {
  const ofJsonRpc = rows.filter(([, { number }]) => number < 0).map(([code, { number }]) => [code, number])

  expect(Object.fromEntries(ofJsonRpc)).toEqual({
    bad_json: -32700,
    bad_frame: -32600,
    unknown_method: -32601,
    bad_params: -32602,
    internal: -32603,
  })
})

it.each(rows)('%s is written in small letters and says what it means', (code, { meaning }) => {
  expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
  expect(meaning).toMatch(/^[A-Z].*[^.]$/)
})

it.each(rows)('%s has an HTTP status of a failure', (_code, { http }) => {
  expect(http).toBeGreaterThanOrEqual(400)
  expect(http).toBeLessThan(600)
})

it.each(rows.filter(([, { close }]) => close !== undefined))(
  '%s closes with a code that says whether to come back',
  (_code, { close, retryable }) => {
    expect(close).toBeGreaterThanOrEqual(4000)
    expect(close).toBeLessThan(5000)
    expect((close as number) < 4500).toBe(retryable)
  },
)

it('gives every failure that closes a link a close code of its own', () => {
  const codes = rows.flatMap(([, { close }]) => close ?? [])

  expect(new Set(codes).size).toBe(codes.length)
})

it('says what a code means where nothing better is known', () => {
  const { code, message } = fault('busy')

  expect({ code, message }).toEqual({ code: 'busy', message: ERRORS.busy.meaning })
})
