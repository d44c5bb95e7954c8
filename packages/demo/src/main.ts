import { createMess } from '@messkit/sdk'
import { installCable } from './cable.ts'
import { focusField } from './composer.ts'
import { byId } from './dom.ts'
import { openKept } from './kept.ts'
import { Notices } from './notices.ts'
import { Page } from './page.ts'
import { offerInstall } from './shell/install.ts'
import { keepShell } from './shell/shell.ts'
import { devToken } from './token.ts'
import { addressOfSomebodyElse, currentUser } from './user.ts'

const kept = openKept()
const notices = new Notices(byId('notices', 'div'))
const user = whoWrites()
const cable = installCable({ kept, user, onChange: () => page.statusChanged() })

const mess = createMess({
  url: location.origin,
  user,
  token: devToken({ user, cable, onTrouble: (text) => notices.show(text) }),
})
const page = new Page({ mess, cable, user, notices })

byId('who', 'b').textContent = user
byId('reload', 'button').addEventListener('click', () => location.reload())
// An address of its own would name a list.
byId('skip', 'a').addEventListener('click', (event) => {
  event.preventDefault()
  byId('text', 'input').focus()
})
byId('phone', 'a').addEventListener('click', (event) => {
  if (!open(byId('phone', 'a').href, '_blank', 'popup,width=390,height=844')) return
  event.preventDefault()
})
keepAddresses()
addEventListener('hashchange', keepAddresses)
focusField()
offerInstall(byId('install', 'button'))
void keepShell({ note: byId('update', 'div'), reload: byId('update-reload', 'button') })

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
  byId('phone', 'a').href = addressOfSomebodyElse(location.href)
}
