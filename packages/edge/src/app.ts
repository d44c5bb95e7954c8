import { fault } from '@messkit/sdk/protocol'
import { Hono } from 'hono'
import { admin } from './admin/routes.ts'
import type { Env } from './env.ts'
import { httpError } from './http-error.ts'
import { listQueues } from './queues/names.ts'
import { openQueue } from './queues/routes.ts'
import { openLink } from './upgrade.ts'

/** Every address of the server. No middleware that touches headers stands before an upgrade: its answer cannot be changed any more. */
export const app = new Hono<{ Bindings: Env }>()

app.get('/health', (c) => c.json({ ok: true }, 200, { 'cache-control': 'no-store' }))
app.route('/v1/admin', admin)
app.all('/v1/topics/:topic{[\\s\\S]+}', (c) =>
  openLink(c.req.raw, { kind: 'topic', name: c.req.param('topic') }, c.env),
)
app.get('/v1/queues', (c) => listQueues(c.req.raw, c.env))
app.all('/v1/queues/:queue{[\\s\\S]+}', (c) => openQueue(c.req.raw, c.req.param('queue'), c.env))

app.notFound(() => httpError(fault('not_found')))
app.onError((error) => {
  console.error('a request failed:', error)
  return httpError(fault('internal'))
})
