import type { Mess, Message } from '@messkit/sdk'
import { Announcer } from './announcer.ts'
import type { Cable } from './cable.ts'
import { composer } from './composer.ts'
import { byId, count } from './dom.ts'
import type { Drafts } from './drafts.ts'
import { perFrame } from './frame.ts'
import { Many } from './many.ts'
import { Meter } from './meter.ts'
import type { Note } from './note.ts'
import type { Notices } from './notices.ts'
import { OutboxWatch } from './outbox-watch.ts'
import { Outgoing, type Sent } from './outgoing.ts'
import { connectionSentence, PathView } from './path-view.ts'
import { TopicView } from './topic-view.ts'
import { topicOf } from './topics.ts'
import { TrayView } from './tray-view.ts'
import { inSendOrder } from './waiting.ts'

interface PageOptions {
  readonly mess: Mess
  readonly cable: Cable
  readonly user: string
  readonly drafts: Drafts
  readonly notices: Notices
}

const REST_MS = 300

/** The page: what happens in Messkit goes into the parts, and everything is drawn once per frame. */
export class Page {
  readonly #options: PageOptions
  readonly #outgoing: Outgoing
  readonly #outbox: OutboxWatch
  readonly #view: TopicView
  readonly #tray: TrayView
  readonly #path: PathView
  readonly #many: Many
  readonly #announcer = new Announcer(byId('announcer', 'p'))
  readonly #draw = perFrame(() => this.#drawNow())
  readonly #meter = new Meter()
  #received = 0
  #unread = 0
  /** What went over the cable since the last frame. */
  #moved = { up: false, down: false }
  #online = false
  #onlineSinceMs = 0

  constructor(options: PageOptions) {
    const { mess, cable, user, drafts } = options
    this.#options = options
    this.#outgoing = new Outgoing({ user, drafts, onChange: (sent) => this.#changed(sent) })
    this.#outbox = new OutboxWatch({ mess, outgoing: this.#outgoing, drafts, onChange: this.#draw })
    this.#view = new TopicView({
      mess,
      onMessage: (message, facts) => this.#arrived(message, facts),
      onGap: () => this.#announcer.say('Some messages are missing.'),
      onTrouble: (error) => this.#trouble(error),
      onChange: this.#draw,
    })
    this.#tray = new TrayView({
      list: byId('tray', 'ol'),
      more: byId('tray-more', 'p'),
      retry: (id) => this.#outbox.retry(id),
      discard: (id) => void this.#outbox.discard(id),
    })
    this.#path = new PathView({ onCable: () => (cable.plugged ? cable.pull() : cable.plug()) })
    this.#many = new Many({
      outgoing: this.#outgoing,
      topic: () => this.#view.topic,
      onlineSinceMs: () => this.#onlineSinceMs,
      onTrouble: (error) => this.#trouble(error),
      onStarted: () => this.#view.log.follow(),
    })
    composer({ onSend: (text) => this.#send(text) })
    addEventListener('hashchange', () => this.#view.open(topicOf(location.hash)))
    document.addEventListener('visibilitychange', () => this.#seen())
    mess.on('status', () => this.statusChanged())
    mess.on('error', (error) => this.#trouble(error))
    mess.on('refused', () => this.#announcer.say('The server refused a message.'))
    this.#view.open(topicOf(location.hash))
    if (!this.#view.topic) this.#view.open(topicOf(''))
  }

  /** The connection, the counts, or the cable. */
  statusChanged(): void {
    const { mess, cable } = this.#options
    const online = cable.plugged && mess.status.connection === 'online'
    if (online !== this.#online) {
      this.#online = online
      if (online) this.#onlineSinceMs = performance.now()
      this.#announcer.say(connectionSentence(mess.status, cable.plugged))
    }
    this.#draw()
  }

  #send(text: string): boolean {
    const { topic, log } = this.#view
    if (!topic) return false
    try {
      this.#outgoing.say(topic, text)
    } catch (error) {
      this.#trouble(error)
      return false
    }
    log.follow()
    return true
  }

  #arrived({ id, data, own }: Message<Note>, { isLive }: { isLive: boolean }): Sent | undefined {
    this.#outbox.arrived(id)
    this.#received++
    this.#meter.add(1, performance.now())
    this.#moved.down = true
    if (isLive && !own) this.#announcer.message(data.by, data.text)
    if (isLive && document.hidden) this.#unread++
    return this.#outgoing.arrived(id)
  }

  #changed(sent: Sent): void {
    if (sent.ack) {
      this.#moved.up = true
      this.#view.acked(sent)
    }
    this.#draw()
  }

  #trouble(error: unknown): void {
    this.#options.notices.show(error instanceof Error ? error.message : String(error))
  }

  #seen(): void {
    if (document.hidden) return
    this.#unread = 0
    this.#draw()
  }

  #drawNow(): void {
    const { mess, cable, user, drafts } = this.#options
    const { log, shown, stored } = this.#view
    const { topic } = shown
    this.#outgoing.dropUnseen(shown)
    const entries = this.#outbox.in(topic)
    const textOf = (id: string) => drafts.textOf(id)
    const waiting = inSendOrder(this.#outgoing.in(topic), entries, { textOf, storage: mess.status.storage })
    const refused = entries.filter(({ state }) => state === 'refused')
    log.draw()
    this.#tray.draw({ waiting, refused, textOf, by: user, continues: log.lastBy === user })
    this.#view.draw({ somethingWaits: waiting.length + refused.length > 0, plugged: cable.plugged })
    log.settle()
    this.#many.draw()
    const receivedPerSecond = this.#meter.perSecond(performance.now())
    this.#path.draw({
      status: mess.status,
      plugged: cable.plugged,
      written: this.#outgoing.written,
      stored,
      received: this.#received,
      receivedPerSecond,
      moved: this.#moved,
    })
    this.#moved = { up: false, down: false }
    document.title = `${this.#unread > 0 ? `(${count(this.#unread)}) ` : ''}${topic} · Messkit`
    if (receivedPerSecond > 0) setTimeout(this.#draw, REST_MS) // until it is quiet again
  }
}
