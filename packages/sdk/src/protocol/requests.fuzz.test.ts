import { expect, it } from 'vitest'
import { generator } from '../../../../test/support/random.ts'
import { ERRORS } from './error-codes.ts'
import { LIMITS } from './limits.ts'
import { decodeRequest } from './requests.ts'

const FRAMES = 200_000
const PART_FRAMES = 20_000

const PIECES = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\n',
  ',\n',
  '\r',
  '\\',
  '\\u',
  '\\ud83d',
  '\ud83d',
  '\ude80',
  '\u2028',
  '\ufeff',
  '\0',
  ' ',
  '0',
  '-1',
  '1e999',
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
  '"jsonrpc":"2.0"',
  '"method":"publish"',
  '"method":"hello"',
  '"id":1',
  '"id":null',
  '"__proto__":',
  '"constructor":',
  '"topic":"chat"',
  '"topic":"r\u043eoms"',
  '"keys":[null]',
  '"from":"now"',
  '"from":"0mi8zq4k0abcdefg_0000000000000001"',
  'messkit:ping',
  '['.repeat(70),
  ']'.repeat(70),
  'x'.repeat(300),
] as const

const FRAMES_OF_OURS = [
  '{"jsonrpc":"2.0","id":1,"method":"hello","params":{"versions":[1],"client":"fuzz"}}',
  '{"jsonrpc":"2.0","id":2,"method":"subscribe","params":{"topic":"chat","subscription":1,"from":{"last":5},"window":1000}}',
  '{"jsonrpc":"2.0","method":"credit","params":{"topic":"chat","subscription":1,"through":5000}}',
  '{"jsonrpc":"2.0","id":3,"method":"history","params":{"topic":"chat","limit":10,"from":"0mi8zq4k0abcdefg_0000000000000001"}}',
  '{"jsonrpc":"2.0","id":4,"method":"authenticate","params":{"token":"a.b.c"}}',
  '{"jsonrpc":"2.0","id":5,"method":"publish","params":{"topic":"chat","publisher":"p0000001","after":0,"first":1,"messages":[\n{"a":"\\ud83d\\ude80"},\n[[1,2],{"b":null}],\n"x"\n]}}',
  '{"jsonrpc":"2.0","id":6,"method":"publish","params":{"topic":"a/b","publisher":"p0000001","after":3,"first":9,"ids":["p0000002",4],"keys":["k",null],"messages":[\n1,\n2\n]}}',
] as const

type Random = ReturnType<typeof generator>

/** One of ours with a few things cut, doubled, put in or put elsewhere; or a heap of pieces. */
function makeFrame(random: Random): string {
  if (random.below(8) === 0) return Array.from({ length: random.below(30) }, () => random.pick(PIECES)).join('')
  let text: string = random.pick(FRAMES_OF_OURS)
  for (let changes = random.below(4); changes > 0; changes--) {
    const from = random.below(text.length + 1)
    const to = Math.min(text.length, from + random.below(random.below(4) === 0 ? 60 : 4))
    const put = [
      () => '',
      () => random.pick(PIECES),
      () => text.slice(from, to).repeat(2),
      () => String.fromCharCode(random.below(0x1_0000)),
    ]
    text = text.slice(0, from) + random.pick(put)() + text.slice(to)
  }
  return text
}

it.each(Array.from({ length: FRAMES / PART_FRAMES }, (_, part) => part))(
  'no frame makes the reader throw or answer out of the table, part %i',
  (part) => {
    const random = generator(`frames ${part}`)
    let understood = 0

    for (let i = 0; i < PART_FRAMES; i++) {
      const text = makeFrame(random)
      let wrong: unknown
      try {
        const request = decodeRequest(text)
        if ('fault' in request)
          wrong = request.fault.code in ERRORS && request.fault.message.length < 200 ? undefined : request
        else understood++
        if ('lines' in request && request.lines.count > LIMITS.messagesPerFrame) wrong = request
      } catch (error) {
        wrong = error
      }
      if (wrong !== undefined) expect.fail(`${random.seed}, frame ${i}: ${JSON.stringify(text)}\n${String(wrong)}`)
    }

    // Else the frames were so bad that nothing behind the first check was reached.
    expect(understood / PART_FRAMES).toBeGreaterThan(0.1)
  },
)
