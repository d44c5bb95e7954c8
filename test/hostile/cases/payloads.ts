import { LIMITS } from '@messkit/sdk/protocol'
import { type Case, publish, TARGET, ws } from '../case.ts'
import type { RuleName } from '../rules.ts'

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const objects = (depth: number): string => '{"a":'.repeat(depth) + '0' + '}'.repeat(depth)

/** Where payloads stand in a frame, and what is in them. */
export function payloadCases(): Case[] {
  const line = (rule: RuleName, name: string, lines: string): Case => ws(rule, `a payload: ${name}`, publish(lines))
  const stored = (name: string, payload: string): Case =>
    ws('oddPayload', `a payload: ${name}`, publish(payload), { stored: payload })
  const one = publish('1')
  const layout = (name: string, change: (text: string) => string): Case => ws('notLines', name, change(publish('1')))

  return [
    layout('payloads in the line of the frame', (text) => text.replaceAll('\n', '')),
    layout('no messages', (text) => text.replace('"messages":[\n1\n]', '"messages":[]')),
    layout('messages under another name', (text) => text.replace('"messages":', '"massages":')),
    layout('messages in front', (text) =>
      text.replace('"params":{', '"params":{"messages":[],').replace(',"messages":[\n1\n]', ''),
    ),
    layout('lines in another frame', (text) => text.replace('"publish"', '"history"')),
    layout('lines in a hello', (text) => text.replace('"publish"', '"hello"')),
    layout('messages behind the params', (text) => text.replace(',"messages":[', '},"x":{"messages":[')),
    layout('messages that look like the last member', (text) =>
      text.replace('"messages":[', '"messages":[],"x":{"messages":[').replace(/\]\}\}$/, ']}}}'),
    ),
    layout('a line without a comma', (text) => text.replace('\n1\n', '\n1\n2\n')),
    layout('a line with a blank behind the comma', (text) => text.replace('\n1\n', '\n1, \n2\n')),
    layout('lines that end as elsewhere', (text) => text.replace('\n1\n', '\n1\r\n2\n')),
    layout('a blank behind the frame', (text) => `${text} `),
    layout('a line break behind the frame', (text) => `${text}\n`),
    layout('messages that are no list', (text) => text.replace('"messages":[\n1\n]', '"messages":{\n"a":1\n}')),
    ws(
      'badParams',
      '1,001 messages',
      publish(
        Array(LIMITS.messagesPerFrame + 1)
          .fill('1')
          .join(',\n'),
      ),
    ),
    ws('badParams', '250,000 messages', publish(Array(250_000).fill('1').join(',\n'))),

    line('badPayload', 'nothing in a line', ''),
    line('badPayload', 'blanks in a line', '  '),
    line('badPayload', 'nothing in the first of two lines', ',\n1'),
    line('badPayload', 'nothing in the last of two lines', '1,\n'),
    line('badPayload', 'a comma in front', ',1'),
    line('badPayload', 'lines that are JSON only together', '[1,\n2]'),
    line('badPayload', 'objects that are JSON only together', '{"a":1,\n"b":2}'),
    line('badPayload', 'texts that are JSON only together', '"a,\nb"'),
    line('badPayload', 'two payloads in a line', '1,2'),
    line('badPayload', 'two payloads without a comma', '1 2'),
    line('badPayload', 'a way out of the frame', '1]},"id":1},{"a":[1'),
    line('badPayload', 'a way into the delivery', '1],"next":9007199254740991,"x":[1'),
    line(
      'badPayload',
      'a whole other frame',
      '1\n]}}{"jsonrpc":"2.0","id":1,"method":"hello","params":{"a":[1'.replace('\n', ''),
    ),
    line('badPayload', 'undefined', 'undefined'),
    line('badPayload', 'not a number', 'NaN'),
    line('badPayload', 'beyond all', 'Infinity'),
    line('badPayload', 'a call', 'alert(1)'),
    line('badPayload', 'a comment', '1/**/'),
    line('badPayload', 'a comma inside', '[1,]'),
    line('badPayload', 'single quotes', "'a'"),
    line('badPayload', 'a control character', '"\u0001"'),
    line('badPayload', 'a mark of the byte order in front', '\ufeff1'),
    line('badPayload', 'a large integer', '1n'),
    line('badPayload', 'brackets without an end', '['.repeat(100_000)),
    line('badPayload', 'half a surrogate pair', '"\\ud800"'),
    line('badPayload', 'the other half', '"\\udc00"'),
    line('badPayload', 'halves in the wrong order', '"\\ude80\\ud83d"'),
    line('badPayload', 'half a pair in a key', '{"\\ud800":1}'),
    line('badPayload', 'half a pair deep inside', `${'[{"a":'.repeat(20)}"\\ud800"${'}]'.repeat(20)}`),
    line('badPayload', 'a bad line behind a good one', '1,\nx'),
    line('deepPayload', 'one level too many', nested(LIMITS.payloadDepth + 1)),
    line('deepPayload', 'one object too many', objects(LIMITS.payloadDepth + 1)),
    line('deepPayload', '50,000 levels', nested(50_000)),
    line('deepPayload', '20,000 objects', objects(20_000)),
    line('deepPayload', 'levels behind a thousand values', `[${'0,'.repeat(1_000)}${nested(LIMITS.payloadDepth)}]`),
    line('largePayload', 'one byte too many', `"${'x'.repeat(LIMITS.messageBytes - 1)}"`),
    line(
      'largePayload',
      'one byte too many, in three-byte letters',
      `"${'€'.repeat(Math.ceil(LIMITS.messageBytes / 3))}"`,
    ),
    line('largePayload', 'a large one behind a good one', `1,\n"${'x'.repeat(LIMITS.messageBytes)}"`),

    stored('the deepest', nested(LIMITS.payloadDepth)),
    stored('the largest', `"${'x'.repeat(LIMITS.messageBytes - 2)}"`),
    stored(
      'a prototype',
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":null}',
    ),
    stored('a key twice', '{"a":1,"a":2}'),
    stored('an empty key', '{"":0}'),
    stored('null', 'null'),
    stored('an empty text', '""'),
    stored('a number below zero that is zero', '-0'),
    stored('a number with more digits than are held', '0.1234567890123456789012345678901234567890'),
    stored('a number beyond all', '1e999'),
    stored('a whole number beyond the safe ones', '12345678901234567890'),
    stored('blanks around it', '  { "a" : [ 1 , 2 ] }\t'),
    stored('brackets in a text', `"${'['.repeat(200)}"`),
    stored('an escaped pair', '"\\ud83d\\ude80"'),
    stored('a zero character', '"\\u0000"'),
    stored('a character that turns the text around', '"\u202etxt.exe"'),
    stored('a line separator', '"\u2028\u2029"'),
    stored('a character that is none', '"\ufffe\uffff"'),
    stored('what ends frames', '"\\n]}}"'),
    stored('what looks like a payload’s end', '"]}},\\n"'),
    stored('10,000 keys', `{${Array.from({ length: 10_000 }, (_, i) => `"${i}":0`).join()}}`),
    stored('a script', '"</script><script>alert(1)</script>"'),
    stored('SQL', '"\'; drop table chunk; --"'),
    ws('extras', 'a topic twice in a publish', one.replace('"topic"', '"topic":"a/b","topic"')),
    ws('notLines', 'messages twice in a publish', publish('2').replace('"topic"', '"messages":[7],"topic"')),
    ws(
      'badNameInFrame',
      'another topic behind the right one',
      publish('1').replace(`"topic":"${TARGET}"`, `"topic":"${TARGET}","topic":"_a"`),
    ),
  ]
}
