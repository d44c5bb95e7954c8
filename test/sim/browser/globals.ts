import { Channel } from './browser.ts'
import { Range } from './indexeddb.ts'
import { Socket } from './socket.ts'
import { Tab } from './tab.ts'

/**
 * What the SDK finds where a page has its globals: each belongs to the page whose turn it is. The bundler puts these names in the
 * place of the real ones (bundle.ts), so that everything above them, `platform.ts` included, is the code that users run.
 */
const page = Tab

/** The wall clock of the machine, which its user may move. */
export const dateNow = (): number => {
  const { browser } = page.current
  return Math.floor(browser.clock.now + browser.clockMs)
}

export const performanceNow = (): number => page.current.browser.clock.now - page.current.bornAt

export const mathRandom = (): number => page.current.browser.random.next()

interface Timer {
  cancelled: boolean
}

function startTimer(task: () => void, ms = 0): Timer {
  const tab = page.current
  const timer: Timer = { cancelled: false }
  // Pages that nobody sees are woken once a second.
  const late = tab.visible ? 0 : tab.browser.random.next() * 1_000
  // In whole ms, as browsers count them, so that it may ring a little early.
  tab.browser.clock.in(Math.max(1, Math.floor(ms)) + late, () =>
    tab.run(() => {
      if (!timer.cancelled) task()
    }),
  )
  return timer
}

function stopTimer(timer: Timer | undefined): void {
  if (timer) timer.cancelled = true
}

function listen(event: string, listener: () => void, { signal }: { signal?: AbortSignal } = {}): void {
  const { listeners } = page.current
  page.current.listen(event, listener)
  signal?.addEventListener('abort', () => listeners.get(event)?.delete(listener))
}

function unlisten(event: string, listener: () => void): void {
  page.current.listeners.get(event)?.delete(listener)
}

const pageCrypto = {
  getRandomValues: (bytes: Uint8Array) => {
    const { random } = page.current.browser
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.between(0, 255)
    return bytes
  },
}

const pageNavigator = {
  locks: {
    request: (
      name: string,
      options: { signal?: AbortSignal; ifAvailable?: boolean; steal?: boolean },
      work: (lock: unknown) => unknown,
    ) => page.current.browser.locks.request(name, options, work),
    query: async () => ({ held: (await page.current.browser.locks.names()).map((name) => ({ name })) }),
  },
}

const pageDatabases = { open: (name: string) => page.current.browser.disk.open(name) }

const pageDocument = {
  get visibilityState() {
    return page.current.visible ? 'visible' : 'hidden'
  },
  addEventListener: listen,
  removeEventListener: unlisten,
}

const pageConsole = { error: (error: unknown) => page.current.browser.complained(page.current, error) }

export {
  Channel as BroadcastChannel,
  listen as addEventListener,
  pageConsole as console,
  pageCrypto as crypto,
  pageDatabases as indexedDB,
  pageDocument as document,
  pageNavigator as navigator,
  Range as IDBKeyRange,
  Socket as WebSocket,
  startTimer as setTimeout,
  stopTimer as clearTimeout,
  unlisten as removeEventListener,
}

/** `globalThis`, as far as it is asked what there is. */
export const pageGlobals = {
  indexedDB: pageDatabases,
  BroadcastChannel: Channel,
  addEventListener: listen,
  removeEventListener: unlisten,
  document: pageDocument,
}
