import type { TopicHome } from '../broker/home.ts'
import { NOBODY } from '../broker/machine.ts'
import type { Link, LinkEvents, OpenLink } from './link.ts'
import type { TabBus } from './tabs.ts'

/** What a tab needs of a topic's home, or of what stands for it. */
export interface Home extends Pick<TopicHome, 'attach' | 'receive'> {
  /** @param left the link was closed from the other side, and was not lost */
  detach(link: number, left?: boolean): void
}

/** A link of this tab: asked for (neither), through the leader (`peer`), or from here (`inner`). */
interface Outgoing {
  readonly events: LinkEvents
  peer: string | undefined
  inner: Link | undefined
}

interface Incoming {
  readonly from: string
  home: Home | undefined
  number: number
}

/** What the leader has that the others have not. */
export interface Lead {
  /** Links from here. */
  readonly open: OpenLink
  /** Where links of the others end. */
  readonly homeOf: (topic: string) => Promise<Home>
}

/**
 * Links that go through one tab, the leader. Frames of the other tabs travel over the bus, each under the sender's number. When
 * the leader changes, every link is lost; one that is asked for while there is none waits for the next one.
 */
export class TabLinks {
  readonly #bus: TabBus
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #incoming = new Map<string, Incoming>()
  #lead: Lead | undefined
  #lastLink = 0

  constructor(bus: TabBus) {
    this.#bus = bus
    bus.on('opened', ({ link }, from) => this.#opened(link, from))
    bus.on('down', ({ link, text }, from) => this.#peered(link, from)?.events.heard(text))
    bus.on('lost', ({ link, code }, from) => {
      if (this.#peered(link, from)) this.#lose(link, code)
    })
    bus.on('open', ({ link, topic }, from) => void this.#accept(link, topic, from))
    bus.on('up', ({ link, text }, from) => {
      const { home, number = 0 } = this.#incoming.get(keyOf(from, link)) ?? {}
      home?.receive(number, text)
    })
    bus.on('close', ({ link }, from) => this.#end(keyOf(from, link), true))
  }

  /** Whether any link is open or asked for. */
  get wanted(): boolean {
    return this.#outgoing.size > 0
  }

  /** Whether links go out from here. */
  get leads(): boolean {
    return this.#lead !== undefined
  }

  readonly open: OpenLink = (topic, token, events) => {
    const link = ++this.#lastLink
    const outgoing: Outgoing = { events, peer: undefined, inner: undefined }
    this.#outgoing.set(link, outgoing)
    if (this.#lead)
      outgoing.inner = this.#lead.open(topic, token, { ...events, lost: (code) => this.#lose(link, code) })
    else this.#bus.post('open', { link, topic })
    return {
      send: (text) => {
        if (outgoing.inner) outgoing.inner.send(text)
        else if (outgoing.peer !== undefined) this.#bus.post('up', { link, text }, outgoing.peer)
      },
      close: () => this.#close(link),
    }
  }

  /** Another tab leads now, or this one. Whoever wants a link opens it anew. */
  renew(lead?: Lead): void {
    this.#lead = lead
    // Homes that outlive the lead, as clients of a server do, would go on for links that nobody listens to.
    for (const key of [...this.#incoming.keys()]) this.#end(key)
    for (const link of [...this.#outgoing.keys()]) this.#lose(link)
  }

  /** A tab is gone. */
  forget(tab: string): void {
    for (const [key, { from }] of [...this.#incoming]) if (from === tab) this.#end(key)
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

  // ---- the leader's side

  async #accept(link: number, topic: string, from: string): Promise<void> {
    const key = keyOf(from, link)
    // A tab that asks again has not heard the first answer yet.
    if (!this.#lead || this.#incoming.has(key)) return
    const incoming: Incoming = { from, home: undefined, number: 0 }
    this.#incoming.set(key, incoming)
    const lost = (code: number): void => {
      if (this.#incoming.get(key) !== incoming) return
      this.#incoming.delete(key)
      this.#bus.post('lost', { link, code }, from)
    }
    // 1006: as of a link that breaks, so that it is asked for again.
    const home = await this.#lead.homeOf(topic).catch(() => lost(1006))
    if (!home || this.#incoming.get(key) !== incoming) return
    incoming.home = home
    // First, since a home may have something to say at once.
    this.#bus.post('opened', { link }, from)
    incoming.number = home.attach(
      { send: (text) => this.#bus.post('down', { link, text }, from), close: lost },
      { identity: NOBODY, greeted: false, subscriptions: [] },
    )
  }

  #end(key: string, left?: boolean): void {
    const incoming = this.#incoming.get(key)
    this.#incoming.delete(key)
    incoming?.home?.detach(incoming.number, left)
  }
}

const keyOf = (tab: string, link: number): string => `${tab} ${link}`
