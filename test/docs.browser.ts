import { createMess } from '@messkit/sdk'
import { createQueue } from '@messkit/sdk/queue'
import { expect, onTestFinished, test, vi } from 'vitest'

type Example = typeof import('../docs/examples/tabs.ts')
const [example] = Object.values(import.meta.glob<Example>('../docs/examples/tabs.ts', { eager: true })) as [Example]
type Queues = typeof import('../docs/examples/queue-tabs.ts')
const [queues] = Object.values(import.meta.glob<Queues>('../docs/examples/queue-tabs.ts', { eager: true })) as [Queues]

/** A busy machine is slow, and not wrong. */
const until = (holds: () => void): Promise<void> => vi.waitFor(holds, { timeout: 60_000 })
vi.setConfig({ testTimeout: 60_000 })

test('the tabs of the guide share their tasks and keep them on disk', async () => {
  const other = createMess({ name: 'tasks' })
  onTestFinished(async () => void (await other.close()))
  const seen: string[] = []
  const heard: string[] = []
  other.topic<{ title: string }>('tasks').subscribe(({ data }) => void heard.push(data.title), { from: 'start' })

  example.show({ append: (text) => void seen.push(text) })
  await until(() => expect(example.explain()).toMatch(/this tab is (leader|follower), messages are kept on disk/))
  const durability = await example.add('milk')

  expect(durability).toBe('disk')
  await until(() => expect(seen).toEqual(['0 milk mine']))
  await until(() => expect(heard).toEqual(['milk']))
})

test('the tabs of the guide share a queue on disk, and each of its jobs is done in one of them', async () => {
  const made: string[] = []
  const make = async (file: string): Promise<void> => void made.push(file)
  const here = queues.help(make)
  const durability = await queues.choose('cat.jpg')
  await until(() => expect(made).toEqual(['cat.jpg']))
  const other = createMess({ name: 'photos' })
  onTestFinished(async () => void (await other.close()))

  const there = createQueue<{ file: string }>(other, 'thumbnails').work(({ data }) => make(data.file))
  await here.stop()
  await queues.choose('dog.jpg')

  expect(durability).toBe('disk')
  await until(() => expect(made).toEqual(['cat.jpg', 'dog.jpg']))
  await there.stop()
})
