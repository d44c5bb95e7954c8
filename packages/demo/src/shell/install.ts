/** What Chromium browsers offer for a page that can be installed; others have it in a menu. */
interface InstallEvent extends Event {
  prompt(): Promise<{ outcome: 'accepted' | 'dismissed' }>
}

/** Shows a button while the page can be installed as an app. */
export function offerInstall(button: HTMLButtonElement): void {
  let offered: InstallEvent | undefined
  addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault() // the browser's own hint would come at any moment
    offered = event as InstallEvent
    button.hidden = false
  })
  button.addEventListener('click', () => {
    button.hidden = true // one event asks once
    void offered?.prompt()
  })
  addEventListener('appinstalled', () => {
    button.hidden = true
  })
}
