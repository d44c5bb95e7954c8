import { HEARTBEAT } from '@messkit/sdk/protocol'
import { type Case, request, ws } from '../case.ts'
import type { RuleName } from '../rules.ts'
import { closeFrame, frame } from '../wire.ts'

const HELLO = request('hello', { versions: [1] })
const MIB = 1024n * 1024n

/** WebSocket as no library would speak it. */
export function websocketCases(): Case[] {
  const alone = (rule: RuleName, name: string, ...send: Buffer[]): Case => ws(rule, name, send, { fresh: true })
  const open = (name: string, ...send: Buffer[]): Case =>
    ws('unfinished', `${name}, and no more`, send, { fresh: true, open: true })
  const deaf = (name: string, ...send: Buffer[]): Case => ws('closing', name, send, { fresh: true, deaf: true })
  const withBytes = (...bytes: number[]): Buffer => {
    const [before = '', after = ''] = request('hello', { versions: [1], client: '@' }).split('@')
    return frame(1, Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]))
  }

  return [
    ...[3, 4, 5, 6, 7].map((opcode) => alone('protocolError', `the reserved opcode ${opcode}`, frame(opcode, 'x'))),
    ...[11, 12, 13, 14, 15].map((opcode) =>
      alone('protocolError', `the reserved control opcode ${opcode}`, frame(opcode)),
    ),
    alone('protocolError', 'the bit of compression', frame(1, HELLO, { rsv: 0x40 })),
    alone('protocolError', 'the second reserved bit', frame(1, HELLO, { rsv: 0x20 })),
    alone('protocolError', 'the third reserved bit', frame(1, HELLO, { rsv: 0x10 })),
    alone('protocolError', 'a reserved bit in a ping', frame(9, '', { rsv: 0x10 })),
    alone('protocolError', 'a continuation of nothing', frame(0, HELLO)),
    alone('protocolError', 'a continuation of nothing that goes on', frame(0, HELLO, { fin: false })),
    alone('protocolError', 'a text inside a text', frame(1, '{', { fin: false }), frame(1, HELLO)),
    alone('protocolError', 'bytes inside a text', frame(1, '{', { fin: false }), frame(2, HELLO)),
    alone('protocolError', 'a ping in fragments', frame(9, '', { fin: false })),
    alone('protocolError', 'a Close in fragments', frame(8, '', { fin: false })),
    alone('tooBig', 'a frame of 33 MiB', frame(1, '', { length: 33n * MIB })),
    alone('tooBig', 'a frame of 2⁶³ bytes', frame(1, '', { length: 1n << 63n })),
    alone('tooBig', 'a frame of 2⁶⁴ - 1 bytes', frame(2, '', { length: (1n << 64n) - 1n })),
    alone('tooBig', 'a ping of 33 MiB', frame(9, '', { length: 33n * MIB })),
    alone('tooBig', 'a fragment of 33 MiB', frame(1, '{', { fin: false }), frame(0, '', { length: 33n * MIB })),

    ...[0, 1, 999, 1000, 1002, 1004, 1005, 1006, 1015, 2999, 4000, 4500, 5000, 65_535].map((code) =>
      alone('closing', `a Close with the code ${code}`, closeFrame(code)),
    ),
    alone('closing', 'a Close without a code', closeFrame()),
    alone('closing', 'a Close of one byte', frame(8, 'x')),
    alone('closing', 'a Close with a reason that is no UTF-8', closeFrame(1000, Buffer.from([0xff, 0xfe]))),
    alone('closing', 'a Close with a reason too long', closeFrame(1000, 'x'.repeat(200))),
    alone('closing', 'a Close inside a text', frame(1, '{', { fin: false }), closeFrame(1000)),
    deaf('two Closes', closeFrame(1000), closeFrame(4000)),
    deaf('a frame behind a Close', closeFrame(1000), frame(1, HELLO)),
    deaf('garbage behind a Close', closeFrame(1000), Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    ws('closing', 'a Close before hello', [closeFrame(4000)], { as: 'stranger' }),

    alone('tolerated', 'a frame without a mask', frame(1, HELLO, { masked: false })),
    alone(
      'tolerated',
      'a length in a longer form',
      Buffer.concat([Buffer.from([0x81, 0xfe, 0, HELLO.length, 0, 0, 0, 0]), Buffer.from(HELLO)]),
    ),
    alone(
      'tolerated',
      'a length in the longest form',
      Buffer.concat([Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, HELLO.length, 0, 0, 0, 0]), Buffer.from(HELLO)]),
    ),
    alone(
      'tolerated',
      'a request in fragments of one byte',
      ...[...HELLO].map((letter, i) => frame(i === 0 ? 1 : 0, letter, { fin: i === HELLO.length - 1 })),
    ),
    alone(
      'tolerated',
      '10,000 empty fragments',
      frame(1, HELLO, { fin: false }),
      ...Array.from({ length: 10_000 }, () => frame(0, '', { fin: false })),
      frame(0),
    ),
    alone(
      'tolerated',
      'a ping inside a request',
      frame(1, HELLO.slice(0, 9), { fin: false }),
      frame(9, 'x'),
      frame(0, HELLO.slice(9)),
    ),
    alone('tolerated', 'a ping', frame(9)),
    alone('tolerated', 'a ping of 125 bytes', frame(9, 'x'.repeat(125))),
    alone('tolerated', 'a ping of 64 KiB', frame(9, 'x'.repeat(65_536))),
    alone('tolerated', '1,000 pings', ...Array.from({ length: 1_000 }, () => frame(9, 'x'))),
    alone('tolerated', 'a byte that is no UTF-8', withBytes(0xff)),
    alone('tolerated', 'half a surrogate pair in UTF-8', withBytes(0xed, 0xa0, 0x80)),
    alone('tolerated', 'a letter in too many bytes', withBytes(0xc1, 0xa8)),
    alone('tolerated', 'a character cut short', withBytes(0xe2, 0x82)),
    alone('tolerated', 'a character beyond the last one', withBytes(0xf4, 0x90, 0x80, 0x80)),
    alone('notJson', 'a zero byte behind a heartbeat', frame(1, `${HEARTBEAT.ask}\0`)),

    alone('unfinished', 'a pong that nobody asked for', frame(10, 'x')),
    open('half the head of a frame', Buffer.from([0x81])),
    open('half a frame', frame(1, HELLO).subarray(0, 20)),
    open('a frame of 32 MiB that never comes', frame(1, '', { length: 32n * MIB - 1n })),
    open('a message without an end', frame(1, '{', { fin: false })),
    open(
      'a thousand fragments without an end',
      ...Array.from({ length: 1_000 }, (_, i) => frame(i === 0 ? 1 : 0, '{', { fin: false })),
    ),
  ]
}
