import type { TopicHome } from '../broker/home.ts'
import { NOBODY } from '../broker/machine.ts'
import { inProcessLinks } from './in-process.ts'
import type { Link, LinkEvents, OpenLink } from './link.ts'
import type { TabBus } from './tabs.ts'

/** A link of this tab: asked for (neither), to the holder's homes (`peer`), or to homes of its own (`inner`). */
interface Outgoing {
  readonly topic: string
  readonly events: LinkEvents
  peer: string | undefined
  inner: Link | undefined
}

interface Incoming {
  readonly from: string
  readonly home: TopicHome
  readonly number: number
}

/**
 * Links to homes that live in one tab, the holder. Frames of the other tabs travel over the bus, each under the sender's number.
 * A link that is asked for while there is no holder waits for the next one; one that was open when the holder changed is lost.
 */
export class TabLinks {
  readonly #bus: TabBus
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #incoming = new Map<string, Incoming>()
  #homeOf: ((topic: string) => TopicHome) | undefined
  #lastLink = 0

  constructor(bus: TabBus) {
    this.#bus = bus
    bus.on('holder', () => this.renew())
    bus.on('opened', ({ link }, from) => this.#opened(link, from))
    bus.on('down', ({ link, text }, from) => this.#peered(link, from)?.events.heard(text))
    bus.on('lost', ({ link, code }, from) => {
      if (this.#peered(link, from)) this.#lose(link, code)
    })
    bus.on('open', ({ link, topic }, from) => this.#accept(link, topic, from))
    bus.on('up', ({ link, text }, from) => {
      const incoming = this.#incoming.get(keyOf(from, link))
      incoming?.home.receive(incoming.number, text)
    })
    bus.on('close', ({ link }, from) => this.#end(keyOf(from, link)))
  }

  readonly open: OpenLink = (topic, _token, events) => {
    const link = ++this.#lastLink
    this.#outgoing.set(link, { topic, events, peer: undefined, inner: undefined })
    this.#ask(link)
    return {
      send: (text) => {
        const outgoing = this.#outgoing.get(link)
        if (outgoing?.inner) outgoing.inner.send(text)
        else if (outgoing?.peer !== undefined) this.#bus.post('up', { link, text }, outgoing.peer)
      },
      close: () => this.#close(link),
    }
  }

  /** The homes are here from now on. */
  lead(homeOf: (topic: string) => TopicHome): void {
    this.#homeOf = homeOf
    this.renew()
  }

  /** Everything that this tab has open is lost, and so are its homes. */
  lose(): void {
    this.#homeOf = undefined
    this.#incoming.clear()
    for (const link of [...this.#outgoing.keys()]) this.#lose(link)
  }

  /** A tab is gone. */
  forget(tab: string): void {
    for (const [key, { from }] of [...this.#incoming]) if (from === tab) this.#end(key)
  }

  /** There may be another holder: what was open is lost, what is asked for is asked again. */
  renew(): void {
    for (const [link, { peer, inner }] of [...this.#outgoing]) {
      if (peer !== undefined || inner) this.#lose(link)
      else this.#ask(link)
    }
  }

  #ask(link: number): void {
    const outgoing = this.#outgoing.get(link) as Outgoing
    if (!this.#homeOf) this.#bus.post('open', { link, topic: outgoing.topic })
    else {
      const events = { ...outgoing.events, lost: (code?: number) => this.#lose(link, code) }
      const homeOf = this.#homeOf
      outgoing.inner = inProcessLinks(async (topic) => homeOf(topic))(outgoing.topic, undefined, events)
    }
  }

  #opened(link: number, from: string): void {
    const outgoing = this.#outgoing.get(link)
    if (!outgoing || outgoing.inner) this.#bus.post('close', { link }, from)
    else if (outgoing.peer === undefined) {
      outgoing.peer = from
      outgoing.events.opened()
    }
  }

  #peered(link: number, from: string): Outgoing | undefined {
    const outgoing = this.#outgoing.get(link)
    return outgoing?.peer === from ? outgoing : undefined
  }

  #close(link: number): Outgoing | undefined {
    const outgoing = this.#outgoing.get(link)
    this.#outgoing.delete(link)
    outgoing?.inner?.close()
    if (outgoing?.peer !== undefined) this.#bus.post('close', { link }, outgoing.peer)
    return outgoing
  }

  #lose(link: number, code?: number): void {
    this.#close(link)?.events.lost(code)
  }

  // ---- the holder's side

  #accept(link: number, topic: string, from: string): void {
    const key = keyOf(from, link)
    // A tab that asks again has not heard the first answer yet.
    if (!this.#homeOf || this.#incoming.has(key)) return
    const home = this.#homeOf(topic)
    const number = home.attach(
      {
        send: (text) => this.#bus.post('down', { link, text }, from),
        close: (code) => {
          if (this.#incoming.delete(key)) this.#bus.post('lost', { link, code }, from)
        },
      },
      { identity: NOBODY, greeted: false, subscriptions: [] },
    )
    this.#incoming.set(key, { from, home, number })
    this.#bus.post('opened', { link }, from)
  }

  #end(key: string): void {
    const incoming = this.#incoming.get(key)
    this.#incoming.delete(key)
    incoming?.home.detach(incoming.number)
  }
}

const keyOf = (tab: string, link: number): string => `${tab} ${link}`
