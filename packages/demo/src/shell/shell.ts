const SCRIPT = '/service-worker.js'

interface UpdateNote {
  readonly note: HTMLElement
  readonly reload: HTMLButtonElement
}

/**
 * Lets the page open without a network: a service worker keeps its files, and nothing else. A new version is fetched in the
 * background and waits until somebody asks for it, since a page must not change under one's hands.
 */
export async function keepShell({ note, reload }: UpdateNote): Promise<void> {
  if (!isSecureContext || !('serviceWorker' in navigator)) return
  const { serviceWorker } = navigator
  const wasKept = serviceWorker.controller !== null
  if (wasKept && (await belongsToOthers())) return leave()
  const registration = await serviceWorker.register(SCRIPT).catch(() => undefined)
  if (!registration) return // a browser that keeps nothing for this page

  const offer = (): void => {
    note.hidden = !(registration.waiting && serviceWorker.controller)
  }
  const follow = (): void => registration.installing?.addEventListener('statechange', offer)
  offer()
  follow()
  registration.addEventListener('updatefound', follow)
  reload.addEventListener('click', () => registration.waiting?.postMessage('take over'))
  // All tabs change together: the old files are gone.
  if (wasKept) serviceWorker.addEventListener('controllerchange', () => location.reload())
  // A browser looks by itself when a page is opened, and an installed app may stay open for weeks.
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) registration.update().catch(() => {}) // without a network
  })
}

/** On a developer's machine the next program may get this address. Its pages must not be ours for ever. */
async function belongsToOthers(): Promise<boolean> {
  try {
    const response = await fetch(SCRIPT, { method: 'HEAD', cache: 'no-store' })
    const isScript = /javascript/.test(response.headers.get('content-type') ?? '')
    return response.status === 404 || (response.ok && !isScript)
  } catch {
    return false // no network, which is what all this is for
  }
}

async function leave(): Promise<void> {
  const registration = await navigator.serviceWorker.getRegistration()
  await registration?.unregister()
  location.reload()
}
