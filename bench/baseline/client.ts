import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Client, Payload } from '../harness/contender.ts'

interface Ack {
  readonly offset: number
}

/**
 * The client of both baseline servers: a frame a message, a promise a message. Acks come in the order of what was published, so no
 * table of ids is needed.
 */
export async function connectBaseline({ url }: { url: string }, topic: string): Promise<Client> {
  const address = `${url}/${topic}`
  const sockets: WebSocket[] = []
  const open = async (query: string): Promise<WebSocket> => {
    const socket = new WebSocket(address.replace('http', 'ws') + query, { perMessageDeflate: false })
    sockets.push(socket)
    await once(socket, 'open')
    return socket
  }
  const publisher = await open('')
  const waiting: ((ack: Ack) => void)[] = []
  let ackCount = 0
  publisher.on('message', (text) => {
    const index = ackCount++
    // The bare server says only that it is done.
    const { offset = index } = JSON.parse(String(text)) as Partial<Ack>
    waiting[index]?.({ offset })
  })

  return {
    publish(data) {
      return new Promise((resolve) => {
        publisher.send(JSON.stringify({ id: waiting.push(resolve), data }))
      })
    },
    async subscribe(handler) {
      const socket = await open('?subscribe')
      socket.on('message', (text) => handler((JSON.parse(String(text)) as { data: Payload }).data))
    },
    async stored() {
      return (await (await fetch(address)).json()) as Payload[]
    },
    async close() {
      for (const socket of sockets) socket.terminate()
    },
  }
}
