import { BREAKS, type Fault } from './breaks.ts'
import { pause } from './client.ts'
import type { Stage } from './stage.ts'

/** Everything that a process history breaks, by the name under which it is counted. */
export const FAULTS = {
  ...BREAKS,

  'right taken': async ({ clients, rights }) => {
    await rights.take(clients)
    return true
  },
  'right taken while the server is killed': async ({ random, clients, rights, server, vars }) => {
    const taken = rights.take(clients)
    await pause(random.pick([0, 2, 10]))
    await server.kill()
    await server.restart(vars)
    await taken
    return true
  },
  'rights given back': ({ rights }) => rights.giveBack(),

  'client crashed': async (stage) => {
    await stage.replace(stage.random.pick(stage.clients))
    return true
  },
  'client process killed': async (stage) => {
    if (!stage.hasChild) return false
    await stage.killChild()
    return true
  },
  'reader that never reads': async (stage) => {
    await stage.silentReader()
    return true
  },
  'subscription resumed': async ({ random, clients }) => {
    // One number, however many there are: who has started by now depends on the machine.
    const drawn = random.next()
    const reading = clients.filter(({ reader }) => reader?.position)
    const client = reading[Math.floor(drawn * reading.length)]
    client?.resume()
    return client !== undefined
  },
} as const satisfies Record<string, Fault<Stage>>

export type FaultKind = keyof typeof FAULTS
