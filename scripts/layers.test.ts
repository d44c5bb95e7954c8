import { expect, test } from 'vitest'
import { checkLayers } from './layers.mjs'

test('an import against the arrows is named', () => {
  const wrong = check({
    'packages/sdk/src/broker/log.ts': `import type { Session } from '../client/session.ts'`,
    'packages/sdk/src/client/session.ts': `export interface Session {}`,
  })

  expect(wrong).toEqual(['packages/sdk/src/broker/log.ts must not import ../client/session.ts'])
})

test('a package that a layer does not list is named', () => {
  const wrong = check({ 'packages/demo/src/main.ts': `import { log } from '@messkit/sdk/broker'` })

  expect(wrong).toEqual(['packages/demo/src/main.ts must not import @messkit/sdk/broker'])
})

test('a cycle is named with its files', () => {
  const wrong = check({
    'packages/sdk/src/protocol/a.ts': `import './b.ts'`,
    'packages/sdk/src/protocol/b.ts': `export * from './a.ts'`,
  })

  expect(wrong).toEqual([
    'cycle: packages/sdk/src/protocol/a.ts → packages/sdk/src/protocol/b.ts → packages/sdk/src/protocol/a.ts',
  ])
})

test('types may refer to each other both ways', () => {
  const wrong = check({
    'packages/sdk/src/protocol/a.ts': `import type { B } from './b.ts'`,
    'packages/sdk/src/protocol/b.ts': `export { a } from './a.ts'`,
  })

  expect(wrong).toEqual([])
})

test('arrows that are drawn are fine', () => {
  const wrong = check({
    'packages/sdk/src/broker/log.ts': `import { LIMITS } from '../protocol/limits.ts'`,
    'packages/sdk/src/protocol/limits.ts': `import * as v from 'valibot'`,
    'packages/sdk/src/broker/log.test.ts': `import { test } from 'vitest'`,
  })

  expect(wrong).toEqual([])
})

function check(files: Record<string, string>): string[] {
  return checkLayers(Object.keys(files), (file: string) => files[file] ?? '')
}
