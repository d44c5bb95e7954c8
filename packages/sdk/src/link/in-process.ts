import { NOBODY, type TopicHome } from '../broker/home.ts'
import { soon } from '../platform.ts'
import type { OpenLink } from './link.ts'

/** Links to homes in this process. Frames are handed over at once: a publish has been delivered when its flush returns. */
export function inProcessLinks(homeOf: (topic: string) => TopicHome): OpenLink {
  return (topic, _token, events) => {
    const home = homeOf(topic)
    let link: number | undefined
    let open = true
    const end = (): void => {
      open = false
      if (link !== undefined) home.detach(link)
    }
    soon(() => {
      if (!open) return
      link = home.attach(
        {
          send: (text) => {
            if (open) events.heard(text)
          },
          close: (code) => {
            if (!open) return
            end()
            events.lost(code)
          },
        },
        { identity: NOBODY, greeted: false, subscriptions: [] },
      )
      events.opened()
    })
    return {
      send: (text) => {
        if (open && link !== undefined) home.receive(link, text)
      },
      close: end,
    }
  }
}
