import type { Kept } from './kept.ts'

/**
 * The demo's network cable, which can be pulled. The SDK has no switch for this, and needs none: a network fails without asking.
 * So the page stands in for the network. Sockets are made through here, and while the cable is out, open ones are lost and new ones
 * fail, as they would without a network. All tabs of one person hang on the same cable, and those of another on another.
 */
export interface Cable {
  readonly plugged: boolean
  pull(): void
  plug(): void
}

/** Call it before the first connection is made. */
export function installCable({ kept, user, onChange }: { kept: Kept; user: string; onChange: () => void }): Cable {
  const key = `cable ${user}`
  const open = new Set<WebSocket>()
  let plugged = kept.get(key) !== 'out'

  const set = (next: boolean): void => {
    if (next === plugged) return
    plugged = next
    if (!plugged) for (const socket of open) lose(socket)
    onChange()
    // What a browser says when a network comes back.
    if (plugged) dispatchEvent(new Event('online'))
  }

  globalThis.WebSocket = new Proxy(WebSocket, {
    construct(Native, args: ConstructorParameters<typeof WebSocket>) {
      if (!plugged) return new FailedSocket()
      const socket = new Native(...args)
      open.add(socket)
      socket.addEventListener('close', () => open.delete(socket))
      return socket
    },
  })
  kept.onChange((changed, value) => {
    if (changed === key) set(value !== 'out')
  })

  return {
    get plugged() {
      return plugged
    },
    pull() {
      kept.set(key, 'out')
      set(false)
    },
    plug() {
      kept.remove(key)
      set(true)
    },
  }
}

/** Nothing is heard on it any more, whether or not the server still gets what was on its way. */
function lose(socket: WebSocket): void {
  socket.dispatchEvent(new CloseEvent('close', { code: 1006 }))
  socket.close()
}

/** A socket whose network is gone: closed before it ever opened. */
class FailedSocket extends EventTarget {
  readonly readyState = WebSocket.CLOSED
  onopen = null
  onmessage = null
  onerror: ((event: Event) => void) | null = null
  onclose: ((event: CloseEvent) => void) | null = null

  constructor() {
    super()
    this.addEventListener('close', (event) => this.onclose?.(event as CloseEvent))
    queueMicrotask(() => this.dispatchEvent(new CloseEvent('close', { code: 1006 })))
  }

  send(): void {}
  close(): void {}
}
