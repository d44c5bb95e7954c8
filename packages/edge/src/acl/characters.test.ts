import { expect, test } from 'vitest'
import { isPlainText } from './characters.ts'

test.each(['', 'ana', 'ana lee', 'josé', '宮本', 'Ж', 'auth0|1', '😀'])('%j is plain', (text) => {
  expect(isPlainText(text)).toBe(true)
})

test.each([
  '\0',
  '\t',
  '\n',
  '\x7f',
  '\x85',
  '\xa0',
  '\xad',
  '\u200b',
  '\u200d',
  '\u202e',
  '\u2028',
  '\u2066',
  '\ufeff',
  '\ufe0f',
  '\uffff',
  '\ue000',
  '\u3164',
  '\ud800',
  '\udc00a',
  'e\u0301',
  '\u{e0041}',
  '\u212b',
])('%j is not', (text) => {
  expect(isPlainText(`a${text}`)).toBe(false)
})
