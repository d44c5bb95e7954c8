import type { OpenLink } from './link.ts'

/** Links that can be given up from outside, as if the network had failed. */
export function losable(open: OpenLink): { readonly open: OpenLink; lose(): void } {
  const opened = new Set<() => void>()
  return {
    open: (topic, token, events) => {
      const link = open(topic, token, {
        ...events,
        lost: (code) => {
          opened.delete(lose)
          events.lost(code)
        },
      })
      const close = (): void => {
        opened.delete(lose)
        link.close()
      }
      const lose = (): void => {
        close()
        events.lost()
      }
      opened.add(lose)
      return { send: link.send, close }
    },
    lose: () => {
      for (const lose of [...opened]) lose()
    },
  }
}
