import { createMess } from '@messkit/sdk'
import { installCable } from './cable.ts'
import { byId } from './dom.ts'
import { Drafts } from './drafts.ts'
import { openKept } from './kept.ts'
import { Notices } from './notices.ts'
import { Page } from './page.ts'
import { devToken } from './token.ts'
import { addressOfSomebodyElse, currentUser } from './user.ts'

const kept = openKept()
const notices = new Notices(byId('notices', 'div'))
const user = whoWrites()
const cable = installCable({ kept, onChange: () => page.statusChanged() })

const mess = createMess({
  url: location.origin,
  user,
  token: devToken({ user, cable, onTrouble: (text) => notices.show(text) }),
})
const page = new Page({ mess, cable, user, drafts: new Drafts(kept), notices })

byId('who', 'b').textContent = user
byId('reload', 'button').addEventListener('click', () => location.reload())
// An address of its own would name a topic.
byId('skip', 'a').addEventListener('click', (event) => {
  event.preventDefault()
  byId('text', 'textarea').focus()
})
keepAddresses()
addEventListener('hashchange', keepAddresses)
// With a mouse there is a keyboard; on glass one would cover half of the page.
if (matchMedia('(pointer: fine)').matches) byId('text', 'textarea').focus()

function whoWrites(): string {
  try {
    return currentUser(location.search, kept)
  } catch (error) {
    notices.show((error as Error).message)
    return currentUser('', kept)
  }
}

function keepAddresses(): void {
  byId('second-tab', 'a').href = location.href
  byId('somebody-else', 'a').href = addressOfSomebodyElse(location.href)
}
