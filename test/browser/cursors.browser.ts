import { expect, onTestFinished, test } from 'vitest'
import { MemoryCursors } from '../../packages/sdk/src/client/cursors.ts'
import { DurableCursors } from '../../packages/sdk/src/client/durable-cursors.ts'
import { makeCursor } from '../../packages/sdk/src/protocol/cursor.ts'
import { Database } from '../../packages/sdk/src/store/indexeddb-database.ts'

const EPOCH = '0mi8zq4k0abcdefg'
const OTHER_EPOCH = '0mi8zq4k1abcdefg'

test('a saved position is there for another tab, the newest of those saved at once', async () => {
  const { cursors, other } = open()
  for (let offset = 1; offset <= 50; offset++) cursors.save('a/b', 'main', makeCursor(EPOCH, offset))
  await cursors.flushed()

  expect(await other().load('a/b', 'main')).toBe(makeCursor(EPOCH, 50))
  expect(await other().load('a/b', 'side')).toBeUndefined()
  expect(await other().load('a', 'main')).toBeUndefined()
})

test('a position moves only forward within an epoch, and follows a new one', async () => {
  const { cursors, other } = open()
  const save = async (epoch: string, offset: number) => {
    cursors.save('a/b', 'main', makeCursor(epoch, offset))
    await cursors.flushed()
    return other().load('a/b', 'main')
  }

  expect(await save(EPOCH, 9)).toBe(makeCursor(EPOCH, 9))
  expect(await save(EPOCH, 4)).toBe(makeCursor(EPOCH, 9))
  expect(await save(OTHER_EPOCH, 1)).toBe(makeCursor(OTHER_EPOCH, 1))
})

test('a name has one holder at a time, and the next one starts where the last one stopped', async () => {
  const { cursors, other } = open()
  const second = other()
  const release = await cursors.hold('a/b', 'main')
  cursors.save('a/b', 'main', makeCursor(EPOCH, 7))

  const waiting = second
    .hold('a/b', 'main')
    .then(async (held) => [held !== undefined, await second.load('a/b', 'main')])
  release?.()

  expect(await waiting).toEqual([true, makeCursor(EPOCH, 7)])
})

test('a name that stays taken is refused after a while', async () => {
  const { cursors, other } = open()
  await cursors.hold('a/b', 'main')

  expect(await other().hold('a/b', 'main')).toBeUndefined()
  expect(await other().hold('a/b', 'side')).toBeTypeOf('function')
})

test('without a database positions live as long as the page', async () => {
  const { cursors } = open()
  cursors.save('a/b', 'main', makeCursor(EPOCH, 3))
  cursors.giveUp()

  expect(await cursors.load('a/b', 'main')).toBe(makeCursor(EPOCH, 3))
  expect(await cursors.hold('a/b', 'main')).toBeTypeOf('function')
  expect(await cursors.hold('a/b', 'main')).toBeUndefined()
})

function open() {
  const name = `messkit/cursors-${crypto.randomUUID()}`
  const database = new Database(name, (error) => {
    throw error
  })
  onTestFinished(() => database.close())
  const other = () => new DurableCursors(database, new MemoryCursors(), name)
  return { cursors: other(), other }
}
