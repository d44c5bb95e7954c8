// #region view
import { createMess, type Shown } from '@messkit/sdk'
import { fetchToken } from './fetch-token.ts'

interface Item {
  readonly text: string
}

const mess = createMess({ url: 'https://mess.example.com', user: 'ana', token: fetchToken })
const list = mess.topic<Item>('lists/groceries', { replica: { maxMessages: 500 } }) // kept on this device

export function show(draw: (rows: { text: string; waits: boolean }[]) => void): () => void {
  const view = list.view((items: readonly Shown<Item, Item>[]) =>
    draw(items.map(({ data, pending }) => ({ text: data.text, waits: pending }))),
  )
  return view.stop
}
// #endregion

// #region refused
/** Own messages that the server refused stay in the list, with the reason, until somebody decides. */
export async function decide(item: Shown<Item, Item>, again: boolean): Promise<void> {
  if (!item.pending || !item.error) return
  if (again) await mess.outbox.retry(item.id).stored
  else await mess.outbox.discard(item.id)
}
// #endregion

// #region sign-out
export async function signOut(lose: boolean): Promise<'signed out' | 'unsent'> {
  try {
    await mess.forget({ unsent: lose ? 'discard' : 'refuse' }) // in all tabs
    return 'signed out'
  } catch (error) {
    if ((error as { code?: string }).code === 'unsent') return 'unsent' // ask the person, then call again
    throw error
  }
}
// #endregion
