import { pause, signal, untilLoaded, type World } from './world.ts'

/** Breaks something, and says whether it could. What lasts is mended by what it answers, some time later. */
type Fault = (world: World) => Promise<boolean | (() => Promise<void>)>

/** Everything that a browser history breaks, by the name under which it is counted. Some are seen only in what follows from them. */
export const FAULTS = {
  'tab closed': async (world) => {
    const tab = pick(world)
    if (!tab) return false
    await world.close(tab)
    return true
  },
  'tab reloaded': async (world) => {
    const tab = pick(world)
    if (!tab) return false
    await world.reload(tab)
    return true
  },
  'tab crashed': async (world) => {
    const tab = pick(world)
    if (!tab) return false
    const crashed = new Promise((resolve) => tab.page.once('crash', resolve))
    tab.page.goto('chrome://crash').catch(() => {})
    await crashed
    await world.close(tab)
    return true
  },
  'renderer killed': async (world) => {
    const tab = pick(world)
    if (!tab) return false
    const pid = await world.browser.rendererOf(tab.page, tab.session)
    // In the middle of what it does.
    world.publish(tab, world.random.pick([1, 10]))
    await pause(world.random.pick([0, 1, 3, 10]))
    const crashed = new Promise((resolve) => tab.page.once('crash', resolve))
    signal(pid, 'SIGKILL')
    await crashed
    await world.close(tab)
    return true
  },
  'renderer stopped': async (world) => {
    const tab = pick(world)
    if (!tab) return false
    const pid = await world.browser.rendererOf(tab.page, tab.session)
    tab.pid = pid
    tab.state = 'stopped'
    signal(pid, 'SIGSTOP')
    if (tab.life.role === 'leader') world.fault('leading tab stopped')
    return async () => {
      if (tab.state === 'stopped') tab.state = 'open'
      tab.pid = undefined
      signal(pid, 'SIGCONT')
    }
  },
  'browser killed': async (world) => {
    if (world.killed++ > 0) return false // it takes a second, and once is as good as often
    await world.killBrowser()
    return true
  },
  offline: async (world) => {
    const tabs = world.random.chance(0.5) ? world.open : world.open.slice(0, 1)
    for (const tab of tabs) await tab.setOnline(false)
    return async () => {
      for (const tab of tabs) if (tab.state === 'open') await tab.setOnline(true)
    }
  },
  'page put away': async (world) => {
    const tab = pick(world)
    if (!tab) return false
    const { life } = tab
    tab.state = 'away'
    // Another site, so that the page is kept.
    await untilLoaded(() => tab.page.goto(world.pages.insecureUrl))
    return async () => {
      if (tab.state !== 'away') return
      // Where it was not kept and the network dies meanwhile, it is loaded as any other.
      const back = tab.page.goBack({ waitUntil: 'commit' })
      await back.catch(() => untilLoaded(() => tab.page.goto(world.pages.url)))
      tab.state = 'open'
      await tab.page.waitForFunction(() => document.readyState === 'complete' && 'begin' in globalThis)
      const kept = await tab.ask<boolean>(`globalThis.life?.name === '${life.options.name}'`)
      world.fault(kept ? 'page came back as it was' : 'page came back anew')
      if (kept) return tab.resync()
      tab.over()
      await world.begin(tab)
    }
  },
  'database closed by the browser': async (world) => {
    await world.browser.closeDatabases(world.pages.url)
    return true
  },
  'database upgraded by another build': async (world) => {
    const tab = pick(world)
    return tab !== undefined && !tab.life.lostStorage && (await tab.ask<number>('life.upgrade()')) > 0
  },
  'storage lost in a tab': async (world) => {
    const tab = pick(world)
    if (!tab) return false
    tab.life.lostStorage = true
    await tab.ask('life.loseStorage()')
    return true
  },
  'network process killed': ({ browser }) => browser.killNetwork(),
  'server killed': async ({ server, random }) => {
    if (!server) return false
    await server.kill()
    if (random.chance(0.3)) {
      await server.restart()
      return true
    }
    return () => server.restart()
  },
  'server stopped': async ({ server }) => {
    if (!server) return false
    const { pid } = server
    signal(pid, 'SIGSTOP')
    return async () => signal(pid, 'SIGCONT')
  },
  /** All tokens are refused, also fresh ones. */
  'secret changed': async ({ server }) => {
    if (!server) return false
    await server.kill()
    await server.restart({ TOKEN_SECRET: 'another secret of at least thirty-two bytes' })
    return async () => {
      await server.kill()
      await server.restart()
    }
  },
} as const satisfies Record<string, Fault>

export type FaultKind = keyof typeof FAULTS

/** Two of these at once have no meaning. */
export const EXCLUSIVE: readonly (readonly FaultKind[])[] = [['server killed', 'server stopped', 'secret changed']]

/** A tab that is there and can load pages. */
function pick({ random, open }: World) {
  const tabs = open.filter(({ online }) => online)
  return tabs.length === 0 ? undefined : random.pick(tabs)
}
