import { nameFault } from '@messkit/sdk/protocol'
import { expect, test } from 'vitest'
import { isName } from './names.ts'

test('what is seen to be a name at a glance is one', () => {
  const parts = [
    '',
    'a',
    'Z9-',
    '_',
    '.',
    '..',
    '/',
    '//',
    'é',
    ' ',
    '*',
    '#',
    '%2f',
    '\0',
    'a'.repeat(64),
    'b/'.repeat(7),
  ]
  const texts = parts.flatMap((one) => parts.flatMap((two) => parts.map((three) => one + two + three)))

  for (const text of texts) expect(isName(text), JSON.stringify(text)).toBe(nameFault(text) === undefined)
})
