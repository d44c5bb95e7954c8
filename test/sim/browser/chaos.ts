import type { Note } from './app.ts'
import type { Browser } from './browser.ts'
import type { Happening } from './swarm.ts'
import type { Tab } from './tab.ts'
import type { TabWorld } from './world.ts'

/** Everything that is done to the pages: what their users do, and what happens to them. */
export class Chaos {
  readonly until: number
  readonly #world: TabWorld
  /** Pages in the back/forward cache. */
  readonly #away = new Set<Tab>()
  #notes = 0

  constructor(world: TabWorld) {
    this.#world = world
    const { clock, random, swarm } = world
    this.until = clock.now + swarm.chaosMs
    for (const [kind, meanMs] of Object.entries(swarm.every)) this.#again(kind as Happening, meanMs)
    for (let i = 0; i < swarm.publishes; i++) clock.in(random.next() * swarm.chaosMs, () => this.#publishSomewhere())
  }

  #again(kind: Happening, meanMs: number): void {
    const { clock, random, swarm, browsers } = this.#world
    clock.in(-Math.log(1 - random.next()) * meanMs, () => {
      if (clock.now >= this.until) return
      const browser = random.pick(browsers)
      const happen = (): void => {
        if (clock.now < this.until && this.#happen(kind, browser)) this.#world.fault(kind)
      }
      // The worst moment for most of it is when everybody has just published.
      if (random.chance(0.7)) happen()
      else {
        for (const tab of [...browser.tabs, ...browser.tabs])
          if (!tab.frozen) browser.later(1 + swarm.strictMs, () => this.#publish(tab))
        browser.later(1 + 3 * swarm.strictMs, happen)
      }
      this.#again(kind, meanMs)
    })
  }

  #publishSomewhere(): void {
    const tab = this.#tab(this.#world.random.pick(this.#world.browsers))
    if (tab) this.#publish(tab)
  }

  #publish(tab: Tab): void {
    const { random, swarm, apps } = this.#world
    const { browser } = tab
    const app = apps.get(tab)
    if (!app || tab.frozen) return
    tab.run(() => {
      for (let burst = random.chance(0.4) ? random.between(2, 8) : 1; burst > 0; burst--) {
        const note: Note = {
          n: `${tab.name}.${++this.#notes}`,
          ...(random.chance(swarm.refusedShare) && { refuse: this.#world.deployments + random.between(1, 3) }),
          pad: 'x'.repeat(random.between(0, 40)),
        }
        app.publish(random.pick(this.#world.storiesOf(browser)), note)
      }
    })
  }

  /** One that runs. */
  #tab(browser: Browser): Tab | undefined {
    const running = [...browser.tabs].filter((tab) => !tab.frozen)
    return running.length > 0 ? this.#world.random.pick(running) : undefined
  }

  #leader(browser: Browser): Tab | undefined {
    return browser.locks.holder((name) => !name.includes('#') && !name.includes('/resume/'))
  }

  /** The tab that the others depend on, more often than any other. */
  #leaderOr(tab: Tab | undefined, browser: Browser): Tab | undefined {
    const leader = this.#leader(browser)
    return leader && !leader.frozen && this.#world.random.chance(0.5) ? leader : tab
  }

  /** @returns whether there was anything for it to happen to */
  #happen(kind: Happening, browser: Browser): boolean {
    const { random, swarm, server } = this.#world
    const { disk } = browser
    const tab = this.#tab(browser)
    switch (kind) {
      case 'open':
        if (browser.tabs.size >= swarm.tabs) return false
        this.#world.open(browser)
        return true
      case 'close':
        return tab !== undefined && this.#close(tab)
      case 'crash':
        return tab !== undefined && this.#crash(tab)
      case 'leader dies': {
        const leader = this.#leader(browser)
        return leader !== undefined && this.#crash(leader)
      }
      case 'reload':
        if (!tab) return false
        browser.later(500, () => this.#world.open(browser))
        return random.chance(0.7) ? this.#close(tab) : this.#crash(tab)
      case 'remount': {
        const mounted = this.#leaderOr(tab, browser)
        const app = mounted && this.#world.apps.get(mounted)
        mounted?.run(() => app?.remount())
        return app !== undefined
      }
      case 'freeze':
        return tab !== undefined && this.#freeze(tab)
      case 'put away': {
        const shown = this.#leaderOr(tab, browser)
        return shown !== undefined && this.#putAway(shown)
      }
      case 'hide':
        if (!tab) return false
        tab.visible = !tab.visible
        tab.fire('visibilitychange')
        return true
      case 'browser dies':
        if (browser.tabs.size === 0) return false
        for (const each of [...browser.tabs]) each.die()
        browser.later(3_000, () => this.#world.open(browser))
        return true
      case 'disk full':
        disk.full = true
        browser.later(5_000, () => {
          disk.full = false
        })
        return true
      case 'disk down':
        // A tab that is the home of local topics must get its database back: without, it would have a log of its own.
        disk.opening = swarm.kind === 'server' ? random.pick(['failing', 'failing', 'hanging']) : 'failing'
        for (const handle of [...disk.handles]) handle.kill(true)
        browser.later(swarm.kind === 'server' ? 8_000 : 50, () => {
          disk.opening = 'fine'
        })
        return true
      case 'handle dies':
        if (disk.handles.size === 0) return false
        random.pick([...disk.handles]).kill(true)
        return true
      case 'version change':
        for (const handle of disk.handles) browser.later(10, () => handle.versionChange())
        return disk.handles.size > 0
      case 'offline':
        return this.#offline(browser)
      case 'cut':
      case 'half open': {
        const connections = [...browser.tabs].flatMap(({ connections }) => [...connections])
        if (connections.length === 0) return false
        const connection = random.pick(connections)
        if (kind === 'cut') connection.cut()
        else connection.halfOpen()
        return true
      }
      case 'server crash':
        if (!server.up) return false
        server.crash()
        this.#world.deployments++
        return true
      case 'clock jump':
        browser.clockMs += random.pick([-86_400_000, -5_000, 5_000, 86_400_000])
        return true
      case 'tokens refused':
        this.#world.tokensRefused = true
        browser.later(10_000, () => {
          this.#world.tokensRefused = false
        })
        return true
      case 'tidy up': {
        const app = tab && this.#world.apps.get(tab)
        tab?.run(() => void app?.tidyUp().catch(() => {}))
        return app !== undefined
      }
    }
  }

  /** In the way in which browsers close: the page hears of it, and has no time for anything. */
  #close(tab: Tab): boolean {
    tab.fire('pagehide')
    tab.browser.later(20, () => tab.die())
    return true
  }

  #crash(tab: Tab): boolean {
    tab.light(this.#world.random.between(0, 15))
    tab.browser.later(3_000, () => tab.die())
    return true
  }

  /** What is posted to a frozen page waits for it, as browsers do it. */
  #freeze(tab: Tab): boolean {
    const { random } = this.#world
    tab.freeze()
    tab.browser.later(20_000, () => (random.chance(0.3) ? tab.die() : tab.thaw()))
    return true
  }

  /** Into the back/forward cache. It comes back as it was, or not at all. */
  #putAway(tab: Tab): boolean {
    const { random } = this.#world
    tab.fire('pagehide')
    tab.browser.later(5, () => {
      tab.freeze()
      tab.deaf = true
      this.#away.add(tab)
    })
    tab.browser.later(20_000, () => (random.chance(0.2) ? tab.die() : this.#comeBack(tab)))
    return true
  }

  #comeBack(tab: Tab): void {
    if (!this.#away.delete(tab)) return
    tab.thaw()
    tab.browser.later(0, () => tab.fire('pageshow'))
  }

  #offline(browser: Browser): boolean {
    if (!browser.online) return false
    browser.online = false
    for (const { connections } of browser.tabs) for (const connection of connections) connection.halfOpen()
    browser.later(10_000, () => this.#online(browser))
    return true
  }

  #online(browser: Browser): void {
    browser.online = true
    for (const tab of browser.tabs) browser.later(0, () => tab.fire('online'))
  }

  /** Nothing fails any more. */
  heal(): void {
    const { swarm, browsers, random } = this.#world
    Object.assign(swarm, { abortShare: 0 })
    Object.assign(this.#world, { tokensRefused: false, healed: true })
    for (const browser of browsers) {
      Object.assign(browser.disk, { full: false, opening: 'fine' })
      for (const tab of [...browser.tabs]) {
        for (const connection of tab.connections) browser.later(1, () => connection.heal())
        tab.visible = true
        if (!tab.frozen) continue
        if (random.chance(0.3)) tab.die()
        else if (this.#away.has(tab)) this.#comeBack(tab)
        else tab.thaw()
      }
      this.#online(browser)
      // Whoever was refused tries again when somebody looks at the page.
      for (const ms of [1, 31_000, 62_000])
        browser.clock.in(ms, () => {
          for (const tab of browser.tabs) browser.later(1, () => tab.fire('visibilitychange'))
        })
    }
  }
}
