import { createMess, type Mess } from '@messkit/sdk'
import type { Client, Payload } from './contender.ts'

/** Messkit as its users have it: the public SDK, one `createMess()` for whoever publishes and one for each subscriber. */
export async function connectMesskit({ url, token }: { url: string; token: string }, topic: string): Promise<Client> {
  const all: Mess[] = []
  const errors: Error[] = []
  const open = () => {
    const mess = createMess({ url, token: () => token })
    all.push(mess)
    mess.on('error', (error) => errors.push(error))
    return mess.topic<Payload>(topic)
  }
  const publisher = open()

  return {
    publish: (data) => publisher.publish(data),
    async subscribe(handler) {
      await open().subscribe(({ data }) => handler(data)).ready
    },
    stored(count) {
      const messages: Payload[] = []
      return new Promise((resolve) => {
        const take = ({ data }: { data: Payload }) => {
          if (messages.push(data) === count) resolve(messages)
        }
        open().subscribe(take, { from: 'start' })
      })
    },
    async close() {
      await Promise.all(all.map((mess) => mess.close()))
      // Also what Messkit would get over counts: a round with a lost link in it measures something else.
      if (errors[0]) throw errors[0]
    },
  }
}
