// The least that a durable message can cost on this platform: one frame in, one row, one frame back. No parsing, no subscribers.
// What the baseline server is held against, so that nobody has to believe that it is an honest one.
import { DurableObject } from 'cloudflare:workers'

export class TopicObject extends DurableObject {
  #sql

  constructor(ctx, env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#sql.exec('create table if not exists message (offset integer primary key, body text not null)')
  }

  fetch(request) {
    if (request.headers.get('upgrade') !== 'websocket') return this.#stored()
    const { 0: client, 1: server } = new WebSocketPair()
    // Somewhat faster here than `ctx.acceptWebSocket`, and a baseline has no need to hibernate.
    server.accept()
    server.addEventListener('message', ({ data }) => {
      this.#sql.exec('insert into message (body) values (?)', data)
      server.send('{}') // the platform holds it back until the row is durable
    })
    server.addEventListener('close', () => server.close(1000))
    return new Response(null, { status: 101, webSocket: client })
  }

  #stored() {
    const rows = this.#sql.exec('select body from message order by offset').toArray()
    return new Response(`[${rows.map(({ body }) => JSON.stringify(JSON.parse(body).data)).join(',\n')}]`)
  }
}

export default {
  fetch(request, env) {
    return env.TOPICS.getByName(new URL(request.url).pathname).fetch(request)
  },
}
