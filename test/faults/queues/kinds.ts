import { BREAKS, type Fault } from '../breaks.ts'
import { pause } from '../client.ts'
import { Hand } from './hand.ts'
import { alarmOf, loseAlarm } from './queue-file.ts'
import type { QueueStage } from './stage.ts'

/** So long is waited for an alarm to become due while nobody is there to ring it. */
const LATE_MS = 2_000

/** Everything that a history of a queue breaks, by the name under which it is counted. */
export const QUEUE_FAULTS = {
  ...BREAKS,

  'server killed, and its file read': (stage) => down(stage, () => stage.readMiddle()),
  'server paused for longer than a lease': async ({ server, workers, random }) => {
    const leases = workers.map(({ leaseMs }) => leaseMs).filter((ms) => ms < 2_000)
    if (leases.length === 0) return false
    process.kill(server.pid, 'SIGSTOP')
    await pause(random.pick(leases) * 1.2)
    process.kill(server.pid, 'SIGCONT')
    return true
  },

  'alarm lost': (stage) => alarm(stage, (file) => loseAlarm(file, stage.random.chance(0.5))),
  'server away until its alarm was due': (stage) =>
    alarm(stage, async (_, at) => {
      const ms = at - Date.now()
      if (ms < LATE_MS) await pause(Math.max(0, ms) + 20)
      return ms < LATE_MS
    }),
  'clock put ahead': async (stage) => stage.moveClock(stage.random.pick([300, 3_000, 11_000])),
  'clock put ahead while the server is paused': async (stage) => {
    process.kill(stage.server.pid, 'SIGSTOP')
    const could = stage.moveClock(stage.random.pick([1_500, 12_000]))
    process.kill(stage.server.pid, 'SIGCONT')
    return could
  },
  'clock put back': (stage) => down(stage, () => stage.moveClock(-stage.random.pick([200, 2_000, 20_000]))),

  'worker process killed': async (stage) => {
    const { random, children } = stage
    if (children.length === 0) return false
    const child = random.pick(children)
    // In the middle of a job, where there is one to be in the middle of.
    for (let looks = 0; looks < 40 && child.hand.busy === 0; looks++) await pause(5)
    if (await stage.killChild(child)) stage.outcome('killed in the middle of a job')
    await stage.hire()
    return true
  },
  'worker process frozen': async ({ random, children }) => {
    if (children.length === 0) return false
    const { hand, leaseMs } = random.pick(children)
    hand.freeze(true)
    await pause(Math.min(leaseMs * 1.5, 700))
    hand.freeze(false)
    return true
  },
  'worker dismissed': async (stage) => {
    const here = stage.workers.flatMap((worker) => {
      const { hand } = worker
      return hand instanceof Hand ? [{ ...worker, hand }] : []
    })
    if (here.length === 0) return false
    stage.dismiss(stage.random.pick(here))
    await stage.hire()
    return true
  },
  'enqueuer crashed': async (stage) => {
    const enqueuer = stage.random.pick(stage.enqueuers)
    stage.enqueuers.splice(stage.enqueuers.indexOf(enqueuer), 1)
    await enqueuer.crash()
    await stage.enqueuer()
    return true
  },

  'right to work taken': async (stage) => {
    await stage.deny('work')
    return true
  },
  'right to enqueue taken': async (stage) => {
    await stage.deny('enqueue')
    return true
  },
  'right taken while the server is killed': async (stage) => {
    const { random, server, vars } = stage
    const taken = stage.deny(random.pick(['work', 'enqueue']))
    await pause(random.pick([0, 2, 10]))
    await server.kill()
    await server.restart(vars)
    await taken
    return true
  },
  'rights given back': (stage) => stage.giveBack(),

  'queue paused': async ({ overseer }) => {
    await overseer.pause()
    return true
  },
  'queue resumed': async ({ overseer }) => {
    await overseer.resume()
    return true
  },
  'jobs cancelled': async (stage) => {
    const { recorder, random, overseer } = stage
    const ids = stage.recorder
      .history()
      .flatMap((event) => (event.e === 'enqueued' && event.id !== undefined ? [event.id] : []))
    if (ids.length === 0) return false
    const chosen = Array.from({ length: random.between(1, 4) }, () => random.pick(ids.slice(-20)))
    recorder.push({ e: 'cancel', ids: chosen })
    await overseer.cancel(chosen)
    return true
  },
  'dead jobs redriven': async (stage) => {
    const { jobs } = await stage.overseer.dead({ limit: 5 })
    if (jobs.length === 0) return false
    const ids = jobs.map(({ id }) => id)
    stage.recorder.push({ e: 'redrive', ids })
    if ((await stage.overseer.redrive(ids)) > 0) stage.outcome('redriven')
    return true
  },
} as const satisfies Record<string, Fault<QueueStage>>

export type QueueFault = keyof typeof QUEUE_FAULTS

/** Something happens while the server is not there. */
async function down({ server, vars }: QueueStage, work: () => boolean | Promise<boolean>): Promise<boolean> {
  await server.kill()
  const happened = await work()
  await server.restart(vars)
  return happened
}

/** Something happens to the moment at which the queue wants to be woken, if there is one. */
function alarm(stage: QueueStage, work: (file: string, at: number) => boolean | Promise<boolean>): Promise<boolean> {
  return down(stage, () => {
    const { file } = stage
    if (!file) return false
    const at = alarmOf(file)
    return at !== undefined && work(file, at)
  })
}
