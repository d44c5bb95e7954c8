import { expect, it, vi } from 'vitest'
import { Channel } from './channel.ts'
import { MemoryOutbox } from './outbox.ts'

it('waits and tells why where the platform refuses to open a connection', async () => {
  const report = vi.fn()
  const outbox = new MemoryOutbox({ refused() {}, counted() {} })
  const channel = new Channel({
    topic: 'rooms/42',
    local: false,
    user: undefined,
    open: () => {
      throw new DOMException('An insecure WebSocket may not be opened from a secure page', 'SecurityError')
    },
    askToken: async () => undefined,
    uplink: () => undefined,
    reconnect: undefined,
    outbox: (changed) => outbox.topic('rooms/42', changed),
    onConnection() {},
    report,
  })

  channel.post({ name: 'subscribe', by: { started() {}, batch() {}, gap() {}, failed() {} }, from: 'now' })

  await vi.waitFor(() => expect(report).toHaveBeenCalledWith(expect.objectContaining({ code: 'link_lost' })))
  expect(channel.reach.state).toBe('waiting')
  channel.close()
})
