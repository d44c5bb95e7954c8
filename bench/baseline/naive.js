// What one would write first: a message is a frame, a row, an ack, and a frame to each subscriber. The baseline of every ratio.
//
//     client → server  {"id":7,"data":…}            server → publisher    {"id":7,"offset":41}
//                                                   server → subscribers  {"offset":41,"data":…}
import { DurableObject } from 'cloudflare:workers'

export class TopicObject extends DurableObject {
  #sql
  #next
  #subscribers = new Set()

  constructor(ctx, env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#sql.exec('create table if not exists message (offset integer primary key, body text not null)')
    this.#next = this.#sql.exec('select coalesce(max(offset) + 1, 0) as next from message').one().next
  }

  fetch(request) {
    if (request.headers.get('upgrade') !== 'websocket') return this.#stored()
    const { 0: client, 1: server } = new WebSocketPair()
    // Somewhat faster here than `ctx.acceptWebSocket`, and a baseline has no need to hibernate.
    server.accept()
    server.addEventListener('message', ({ data }) => this.#publish(server, data))
    server.addEventListener('close', () => {
      this.#subscribers.delete(server)
      server.close(1000)
    })
    if (new URL(request.url).searchParams.has('subscribe')) this.#subscribers.add(server)
    return new Response(null, { status: 101, webSocket: client })
  }

  #publish(publisher, text) {
    const { id, data } = JSON.parse(text)
    const body = JSON.stringify(data)
    const offset = this.#next++
    this.#sql.exec('insert into message values (?, ?)', offset, body)
    // The platform holds all of this back until the row is durable.
    const frame = `{"offset":${offset},"data":${body}}`
    for (const subscriber of this.#subscribers) subscriber.send(frame)
    publisher.send(`{"id":${id},"offset":${offset}}`)
  }

  #stored() {
    const rows = this.#sql.exec('select body from message order by offset').toArray()
    return new Response(`[${rows.map(({ body }) => body).join(',\n')}]`)
  }
}

export default {
  fetch(request, env) {
    return env.TOPICS.getByName(new URL(request.url).pathname).fetch(request)
  },
}
