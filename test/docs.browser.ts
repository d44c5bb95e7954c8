import { createMess } from '@messkit/sdk'
import { expect, onTestFinished, test, vi } from 'vitest'

type Example = typeof import('../docs/examples/tabs.ts')
const [example] = Object.values(import.meta.glob<Example>('../docs/examples/tabs.ts', { eager: true })) as [Example]

test('the tabs of the guide share their tasks and keep them on disk', async () => {
  const other = createMess({ name: 'tasks' })
  onTestFinished(async () => void (await other.close()))
  const seen: string[] = []
  const heard: string[] = []
  other.topic<{ title: string }>('tasks').subscribe(({ data }) => void heard.push(data.title), { from: 'start' })

  example.show({ append: (text) => void seen.push(text) })
  await vi.waitFor(() => expect(example.explain()).toMatch(/this tab is (leader|follower), messages are kept on disk/))
  const durability = await example.add('milk')

  expect(durability).toBe('disk')
  await vi.waitFor(() => expect(seen).toEqual(['0 milk mine']))
  await vi.waitFor(() => expect(heard).toEqual(['milk']))
})
