import type { Status } from '@messkit/sdk'
import { byId, count, setText } from './dom.ts'

interface PathFacts {
  readonly status: Status
  readonly plugged: boolean
  /** How many changes the list has had, as far as this page has heard. */
  readonly stored: number | undefined
}

type Look = 'online' | 'connecting' | 'unplugged' | 'away' | 'trouble'

/** What stands below the server's plate. */
const WORDS: Record<Look, string> = {
  online: 'online',
  connecting: 'connecting …',
  unplugged: 'unplugged',
  away: 'no answer',
  trouble: 'refused us',
}
const STORAGE: Record<Status['storage'], string> = {
  disk: 'on disk',
  memory: 'in memory',
  full: 'disk full',
  lost: 'disk lost',
}
const ROLES: Record<Status['role'], string> = {
  leader: 'Leader: this tab sends for all your tabs',
  follower: 'Follower: another tab sends for this one',
  alone: 'Alone: this tab sends for itself',
}
const FLOW_MS = 700

/** The way to the server, as two plates and a cable. */
export class PathView {
  readonly #root = byId('path', 'section')
  readonly #cable = byId('cable', 'button')
  #flow: ReturnType<typeof setTimeout> | undefined
  #stored = 0

  constructor({ onCable }: { onCable: () => void }) {
    this.#cable.addEventListener('click', onCable)
  }

  draw({ status, plugged, stored }: PathFacts): void {
    const look = lookOf(status, plugged)
    this.#root.dataset.look = look
    this.#root.dataset.outbox = status.refused > 0 ? 'refused' : status.unsent > 0 ? 'waiting' : 'empty'
    plate('unsent', count(status.unsent))
    plate('stored', stored === undefined ? '–' : count(stored))
    setText(byId('storage', 'small'), status.refused > 0 ? `${count(status.refused)} refused` : STORAGE[status.storage])
    setText(
      byId('connection', 'small'),
      look === 'trouble' && status.connection === 'auth-needed' ? 'needs a token' : WORDS[look],
    )
    setText(this.#cable, plugged ? 'Go offline' : 'Go online')
    setText(byId('role', 'p'), ROLES[status.role])
    if ((stored ?? 0) > this.#stored && look === 'online') this.#showFlow()
    this.#stored = stored ?? 0
  }

  /** Something went over the cable; shown for a moment, however much it was. */
  #showFlow(): void {
    clearTimeout(this.#flow)
    this.#root.classList.add('flows')
    this.#flow = setTimeout(() => this.#root.classList.remove('flows'), FLOW_MS)
  }
}

/** A person hears of it once it lasts; see `Announcer`. */
export function connectionSentence(status: Status, plugged: boolean): string {
  const sentences: Record<Look, string> = {
    online: 'Online.',
    connecting: 'Connecting.',
    unplugged: 'Offline. Changes wait in the outbox.',
    away: 'The server does not answer. Changes wait in the outbox.',
    trouble: 'The server refused the connection.',
  }
  return sentences[lookOf(status, plugged)]
}

function lookOf({ connection }: Status, plugged: boolean): Look {
  if (!plugged) return 'unplugged'
  if (connection === 'auth-needed' || connection === 'denied' || connection === 'closed') return 'trouble'
  if (connection === 'offline') return 'away'
  return connection === 'connecting' ? 'connecting' : 'online'
}

function plate(id: string, text: string): void {
  const element = byId(id, 'b')
  setText(element, text)
  // Long numbers have to fit into a round plate.
  element.dataset.chars = String(Math.min(9, text.length))
}
