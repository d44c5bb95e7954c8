// #region share
import { createMess } from '@messkit/sdk'

interface Task {
  readonly title: string
}

const mess = createMess({ name: 'tasks' }) // `name` separates applications on one origin
const tasks = mess.topic<Task>('tasks')

export function show(list: { append(text: string): void }): void {
  tasks.subscribe(
    (message) => list.append(`${message.offset} ${message.data.title} ${message.own ? 'mine' : 'theirs'}`),
    {
      from: 'start',
    },
  )
}

export async function add(title: string): Promise<'disk' | 'memory'> {
  const { durability } = await tasks.publish({ title }).stored
  return durability // 'disk': it is there after a reload, and after the browser was closed
}
// #endregion

// #region status
export function explain(): string {
  const { role, storage } = mess.status
  return `this tab is ${role}, messages are kept on ${storage}`
}
// #endregion

// #region resume
export function notify(onTask: (task: Task) => void): void {
  // One tab at a time has the subscription of this name; it goes on where the last one stopped.
  const reminder = tasks.subscribe((message) => onTask(message.data), { resume: 'reminder' })
  reminder.done.catch((error) => console.debug(error.code)) // resume_in_use: another tab does it
}
// #endregion
