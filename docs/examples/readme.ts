// #region sample
import { createMess } from '@messkit/sdk'

interface Note {
  readonly by: string
  readonly text: string
}

const mess = createMess() // with { url, user, token } the same code goes through a server
const room = mess.topic<Note>('rooms/42')

room.subscribe((message) => console.log(`${message.offset}: ${message.data.by} says ${message.data.text}`), {
  from: 'start', // or 'now', a cursor, { last: 20 }; with `resume` it goes on where it stopped
  onGap: (gap) => console.log(`${gap.from} to ${gap.to} are gone: ${gap.reason}`),
})

const receipt = room.publish({ by: 'ana', text: 'hello' }) // returns at once, offline too
const { durability } = await receipt.stored // 'disk' in a browser: it survives closing the browser
const { offset } = await receipt // durable where the topic lives
console.log(durability, offset)

await mess.close()
// #endregion
// Prints:
// → 0: ana says hello
// → memory 0
