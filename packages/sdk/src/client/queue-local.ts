import { NOBODY } from '../broker/machine.ts'
import { QueueHome } from '../broker/queue-home.ts'
import type { Link, LinkEvents } from '../link/link.ts'
import { Alarm, elapsed, now, random } from '../platform.ts'
import { makeEpoch } from '../protocol/epoch.ts'
import type { QueueRequest } from '../protocol/queue-requests.ts'
import type { BadRequest } from '../protocol/requests.ts'
import { readRequest } from '../protocol/trusted.ts'
import { MemoryQueueStore } from '../store/memory-queue.ts'

/**
 * The homes of all queues of one client in this process. Everything that only they need is imported when the first of them is used, so
 * that a page whose queues live on a server does not load it.
 */
export class QueueHomes {
  readonly #homes = new Map<string, { home: QueueHome; alarm: Alarm }>()

  /** Frames are handed over at once. */
  open(queue: string, events: LinkEvents): Link {
    const home = this.#get(queue)
    let open = true
    const link = home.attach(
      {
        send: (text) => {
          if (open) events.heard(text)
        },
        close: (code) => {
          if (!open) return
          open = false
          events.lost(code)
        },
      },
      { identity: NOBODY, greeted: false, workers: [] },
    )
    return {
      send: (text) => {
        if (open) home.receive(link, text)
      },
      close: () => {
        open = false
        home.detach(link)
      },
    }
  }

  #get(queue: string): QueueHome {
    const known = this.#homes.get(queue)
    if (known) return known.home
    const alarm = new Alarm(() => home.due(), false)
    const home = new QueueHome({
      queue,
      store: new MemoryQueueStore(),
      decode: (text) => readRequest(text) as QueueRequest | BadRequest,
      now,
      random,
      newEpoch: () => makeEpoch(now(), random),
      wakeAt: (at) => alarm.set(elapsed() + at - now()),
    })
    this.#homes.set(queue, { home, alarm })
    return home
  }

  close(): void {
    for (const { alarm } of this.#homes.values()) alarm.clear()
    this.#homes.clear()
  }
}
