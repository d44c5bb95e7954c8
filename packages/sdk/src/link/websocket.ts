import { PROTOCOL } from '../protocol/version.ts'
import type { OpenLink } from './link.ts'

/** Links to a server. One socket a topic, straight to its object. */
export function webSocketLinks(url: string): OpenLink {
  const base = new URL(url)
  base.protocol = base.protocol.replace('http', 'ws')
  const path = `${base.pathname.replace(/\/$/, '')}/v1/topics/`
  return (topic, token, events) => {
    // A token never travels in a URL, where logs would keep it.
    const protocols = token === undefined ? [PROTOCOL.name] : [PROTOCOL.name, PROTOCOL.bearer + base64url(token)]
    const socket = new WebSocket(new URL(path + topic, base), protocols)
    let open = true
    const end = (code?: number): void => {
      if (!open) return
      open = false
      events.lost(code)
    }
    socket.onopen = () => events.opened()
    socket.onmessage = ({ data }) => {
      if (open && typeof data === 'string') events.heard(data)
    }
    socket.onclose = ({ code }) => end(code)
    // A close event follows; where the socket never opened some platforms send only this one.
    socket.onerror = () => {
      if (socket.readyState !== WebSocket.OPEN) end()
    }
    return {
      send: (text) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(text)
      },
      close: () => {
        open = false
        // A socket that is still connecting throws in some platforms when it is closed, and closes all the same.
        try {
          socket.close(1000)
        } catch {}
      },
    }
  }
}

function base64url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text))
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
