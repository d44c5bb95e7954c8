import { PROTOCOL } from '../protocol/version.ts'
import type { OpenLink } from './link.ts'

/** Browsers hold back, for seconds, pages that have many sockets connecting at once. */
const CONNECTING = 8

/** Links to a server. One socket a topic, straight to its object. */
export function webSocketLinks(url: string): OpenLink {
  const base = new URL(url)
  base.protocol = base.protocol.replace('http', 'ws')
  const path = `${base.pathname.replace(/\/$/, '')}/v1/topics/`
  const waiting: (() => void)[] = []
  let connecting = 0
  const next = (): void => {
    connecting--
    waiting.shift()?.()
  }
  return (topic, token, events) => {
    // A token never travels in a URL, where logs would keep it.
    const protocols = token === undefined ? [PROTOCOL.name] : [PROTOCOL.name, PROTOCOL.bearer + base64url(token)]
    let socket: WebSocket | undefined
    let open = true
    /** Gives the place among those connecting to the next. */
    let pass: (() => void) | undefined
    const passOn = (): void => {
      pass?.()
      pass = undefined
    }
    const end = (code?: number): void => {
      passOn()
      if (!open) return
      open = false
      events.lost(code)
    }
    const connect = (): void => {
      const opening = new WebSocket(new URL(path + topic, base), protocols)
      connecting++
      pass = next
      socket = opening
      opening.onopen = () => {
        passOn()
        events.opened()
      }
      opening.onmessage = ({ data }) => {
        if (open && typeof data === 'string') events.heard(data)
      }
      opening.onclose = ({ code }) => end(code)
      // A close event follows; where the socket never opened some platforms send only this one.
      opening.onerror = () => {
        if (opening.readyState !== WebSocket.OPEN) end()
      }
    }
    const connectLater = (): void => {
      try {
        connect()
      } catch {
        end()
      }
    }
    if (connecting < CONNECTING) connect()
    else waiting.push(connectLater)
    return {
      send: (text) => {
        if (socket?.readyState === WebSocket.OPEN) socket.send(text)
      },
      close: () => {
        open = false
        const place = waiting.indexOf(connectLater)
        if (place !== -1) waiting.splice(place, 1)
        passOn()
        // A socket that is still connecting throws in some platforms when it is closed, and closes all the same.
        try {
          socket?.close(1000)
        } catch {}
      },
    }
  }
}

function base64url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text))
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
