// #region connect
import { createMess } from '@messkit/sdk'
import { fetchToken } from './fetch-token.ts'

interface Note {
  readonly text: string
}

const mess = createMess({
  url: 'https://mess.example.com',
  user: 'ana', // whose messages these are
  token: fetchToken, // see below
})
const notes = mess.topic<Note>('notes/ana') // opens nothing yet; the first use does
// #endregion

console.log(`${notes.name} ${mess.status.connection}`)
// → notes/ana offline
