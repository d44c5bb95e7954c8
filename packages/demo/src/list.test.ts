import { MessError } from '@messkit/sdk'
import { expect, test } from 'vitest'
import type { Change } from './change.ts'
import { type Changes, listOf } from './list.ts'

type Entry = Changes[number]

const add = (item: string, text: string): Change => ({ do: 'add', item, text, by: 'ana' })
const tick = (item: string, done: boolean, by = 'bo'): Change => ({ do: 'tick', item, done, by })
const rename = (item: string, text: string): Change => ({ do: 'rename', item, text, by: 'bo' })
const remove = (item: string): Change => ({ do: 'remove', item, by: 'bo' })
const stored = (...changes: Change[]): Entry[] =>
  changes.map((data, offset) => ({ ...message(data, `s${offset}`), offset, pending: false }))
const pending = (...changes: Change[]): Entry[] =>
  changes.map((data, i) => ({ data, id: `p${i}`, key: undefined, pending: true, error: undefined }))
const refused = (data: Change): Entry => ({
  data,
  id: 'r',
  key: undefined,
  pending: true,
  error: new MessError('too_deep', 'Too deep'),
})
const message = (data: Change, id: string) => ({
  data,
  id,
  key: undefined,
  at: new Date(0),
  own: true,
  cursor: 'c' as never,
})
const lines = (changes: Changes): string[] =>
  listOf(changes).items.map(({ text, done, waiting }) => `${done ? 'x' : '-'} ${text}${waiting ? ' …' : ''}`)

test('items stand in the order in which they were added, as the last one to tick or rename left them', () => {
  const changes = stored(
    add('a', 'Bread'),
    add('b', 'Milk'),
    tick('a', true),
    rename('a', 'Rye bread'),
    tick('b', true),
    tick('b', false),
    rename('a', 'Two loaves'),
  )

  expect(lines(changes)).toEqual(['x Two loaves', '- Milk'])
})

test('what was removed stays removed, whoever changes it afterwards', () => {
  expect(lines(stored(add('a', 'Bread'), remove('a'), rename('a', 'Rye'), tick('a', true), add('a', 'Again')))).toEqual(
    [],
  )
})

test('what is on its way counts, and is marked', () => {
  const changes = [...stored(add('a', 'Bread'), add('b', 'Milk')), ...pending(tick('a', true), add('c', 'Tea'))]

  expect(lines(changes)).toEqual(['x Bread …', '- Milk', '- Tea …'])
  expect(listOf(changes).waiting.map(({ id }) => id)).toEqual(['p0', 'p1'])
})

test('what was refused changes nothing and is listed with its reason', () => {
  const changes = [...stored(add('a', 'Bread')), refused(tick('a', true))]

  expect(lines(changes)).toEqual(['- Bread'])
  expect(listOf(changes).refused.map(({ error }) => error?.message)).toEqual(['Too deep'])
})

test('a change waits for its item, which was refused first and sent again behind it', () => {
  expect(lines(stored(tick('a', true), rename('a', 'Rye'), add('a', 'Bread')))).toEqual(['x Rye'])
})
