import { expect, test } from 'vitest'
import type { Changes } from './list.ts'
import { News } from './news.ts'

type Entry = Changes[number]

const entry = (offset: number, text: string, facts: { own?: boolean; at?: Date } = {}): Entry => ({
  data: { do: 'add', item: text, text, by: 'bo' },
  id: text,
  key: undefined,
  cursor: 'c' as never,
  offset,
  own: false,
  at: new Date(Date.now() + 1_000),
  pending: false,
  ...facts,
})
const take = (news: News): string[] => news.take().map(({ item }) => item)

test('tells what others did since, oldest first, each once, however often the list is read meanwhile', () => {
  const news = new News()
  const old = entry(0, 'old', { at: new Date(0) })

  news.read([old, entry(1, 'a'), entry(2, 'own', { own: true })])
  news.read([old, entry(1, 'a'), entry(2, 'own', { own: true }), entry(3, 'b')])

  expect(take(news)).toEqual(['a', 'b'])
  expect(take(news)).toEqual([])
})

test('goes on where a log was started anew', () => {
  const news = new News()

  news.read([entry(7, 'before')])
  news.read([entry(0, 'anew')])

  expect(take(news)).toEqual(['before', 'anew'])
})
