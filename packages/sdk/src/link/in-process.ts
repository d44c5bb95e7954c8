import { NOBODY } from '../broker/machine.ts'
import type { OpenLink } from './link.ts'
import type { Home } from './tab-links.ts'

/** Links to homes in this process. Frames are handed over at once: a publish has been delivered when its flush returns. */
export function inProcessLinks(homeOf: (topic: string) => Promise<Home>): OpenLink {
  return (topic, _token, events) => {
    let home: Home | undefined
    let link: number | undefined
    let open = true
    const end = (): void => {
      open = false
      if (link !== undefined) home?.detach(link)
    }
    const lose = (): void => {
      if (!open) return
      end()
      events.lost()
    }
    homeOf(topic).then((found) => {
      if (!open) return
      home = found
      link = found.attach(
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
    }, lose)
    return {
      send: (text) => {
        if (open && link !== undefined) home?.receive(link, text)
      },
      close: end,
    }
  }
}
