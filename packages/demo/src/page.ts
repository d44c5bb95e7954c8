import type { Mess } from '@messkit/sdk'
import { Acks } from './acks.ts'
import { Announcer } from './announcer.ts'
import type { Cable } from './cable.ts'
import { type Change, describe } from './change.ts'
import { composer } from './composer.ts'
import { byId } from './dom.ts'
import { perFrame } from './frame.ts'
import { type Changes, listOf } from './list.ts'
import { ListView } from './list-view.ts'
import { listNamed, showLists } from './lists.ts'
import { LogView } from './log-view.ts'
import { News } from './news.ts'
import type { Notices } from './notices.ts'
import { newItemId, OpenList } from './open-list.ts'
import { OutboxView } from './outbox-view.ts'
import { connectionSentence, PathView } from './path-view.ts'

interface PageOptions {
  readonly mess: Mess
  readonly cable: Cable
  readonly user: string
  readonly notices: Notices
}

/** The page: what people and Messkit do goes through here, and everything is drawn once per frame. */
export class Page {
  readonly #options: PageOptions
  readonly #list: ListView
  readonly #outbox: OutboxView
  readonly #path: PathView
  readonly #log: LogView
  readonly #acks: Acks
  readonly #announcer = new Announcer(byId('announcer', 'p'))
  readonly #draw = perFrame(() => this.#drawNow())
  #open: OpenList | undefined
  #news = new News()
  #online: boolean | undefined

  constructor(options: PageOptions) {
    const { mess, cable, user } = options
    this.#options = options
    this.#acks = new Acks(this.#draw)
    this.#list = new ListView({
      user,
      tick: ({ id }, done) => this.#change({ do: 'tick', item: id, done, by: user }),
      rename: ({ id }, text) => this.#change({ do: 'rename', item: id, text, by: user }),
      remove: ({ id }) => this.#change({ do: 'remove', item: id, by: user }),
    })
    this.#outbox = new OutboxView({ retry: (id) => this.#retry(id), discard: (id) => void mess.outbox.discard(id) })
    this.#path = new PathView({ onCable: () => (cable.plugged ? cable.pull() : cable.plug()) })
    this.#log = new LogView({ acks: this.#acks, onOpen: this.#draw })
    composer({ onAdd: (text) => this.#add(text) })
    addEventListener('hashchange', () => this.#show(listNamed(location.hash)))
    mess.on('status', () => this.statusChanged())
    mess.on('error', (error) => {
      // Without a network there is no token, which the status says better.
      if (error.code !== 'token_unavailable') this.#trouble(error)
    })
    mess.on('refused', () => this.#announcer.say('The server refused a change.'))
    this.#show(listNamed(location.hash))
    if (!this.#open) this.#show(listNamed(''))
  }

  /** The connection, the counts, or the cable. */
  statusChanged(): void {
    const { mess, cable } = this.#options
    const online = cable.plugged && mess.status.connection === 'online'
    if (online !== this.#online) {
      this.#online = online
      this.#announcer.say(connectionSentence(mess.status, cable.plugged))
    }
    this.#draw()
  }

  #show(name: string): void {
    try {
      const { mess } = this.#options
      const open: OpenList = new OpenList({ mess, name, onChanges: (changes) => this.#changed(changes) })
      this.#open?.close()
      this.#open = open
    } catch (error) {
      this.#trouble(error)
      return
    }
    this.#news = new News()
    showLists(name)
    document.title = `${name} · Messkit`
    this.#draw()
  }

  #add(text: string): boolean {
    const item = newItemId()
    const added = this.#change({ do: 'add', item, text, by: this.#options.user })
    if (added) this.#list.reveal(item)
    return added
  }

  #change(change: Change): boolean {
    try {
      const receipt = this.#open?.topic.publish(change)
      if (receipt) this.#acks.follow(receipt)
      return receipt !== undefined
    } catch (error) {
      this.#trouble(error)
      this.#draw()
      return false
    }
  }

  #retry(id: string): void {
    try {
      this.#acks.follow(this.#options.mess.outbox.retry(id))
    } catch {} // somebody has decided in another tab
  }

  #changed(changes: Changes): void {
    this.#news.read(changes)
    this.#draw()
  }

  #trouble(error: unknown): void {
    this.#options.notices.show(error instanceof Error ? error.message : String(error))
  }

  #drawNow(): void {
    const { mess, cable } = this.#options
    const open = this.#open
    if (!open) return
    const { status } = mess
    const list = listOf(open.changes)
    const news = this.#news.take()
    for (const change of news) this.#announcer.change(`${change.by} ${describe(change, list.nameOf)}`)
    this.#list.draw({
      items: list.items,
      fresh: new Set(news.map(({ item }) => item)),
      emptyText: open.isKnown ? emptyText(open.isThere, this.#online === true) : undefined,
    })
    this.#outbox.draw(list, status)
    this.#path.draw({ status, plugged: cable.plugged, stored: open.stored })
    this.#log.draw(open.changes, list.nameOf)
  }
}

function emptyText(isThere: boolean, online: boolean): string {
  if (isThere || online) return 'Nothing to do here. Add something, and watch it appear in a second tab.'
  return 'This list was never opened in this browser. Add something; the rest comes with the network.'
}
