import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Random } from '../../sim/random.ts'
import type { TestServer } from '../../support/server.ts'
import type { PlanFacts, Played, World } from '../campaign.ts'
import { Spares } from '../child-client.ts'
import { type Login, pause } from '../client.ts'
import { ADMIN } from '../rights.ts'
import type { Outcome } from './events.ts'
import { WAYS, type Way } from './hand.ts'
import { judgeQueue } from './judge.ts'
import { QUEUE_FAULTS, type QueueFault } from './kinds.ts'
import { ServerClocks } from './server-clock.ts'
import { ChildHand, QueueStage } from './stage.ts'

/** All must have come to rest this long after the last fault was mended; it is waited for twice that. */
const REST_MS = 30_000

const OUTCOMES: readonly Outcome[] = [
  'killed in the middle of a job',
  'redriven',
  'stored jobs read in the middle',
  'refused',
  'repeat',
  'ran again',
  'told that the lease was lost',
  'told that the job was cancelled or its worker stopped',
  'said something when another run had begun',
  'extended',
  'released',
  'snoozed',
  'retried',
  'dead in the end',
]

/** In which an object that nobody speaks to falls asleep, and after which it must have been woken. */
const ASLEEP_MS = 17_000
const LATE_MS = 10_000
/** Longer than the grace: whoever is gone loses its jobs before. */
const LONG_MS = 25_000
/** With leases that are long nobody waits for their end. */
const QUICK_WAYS = WAYS.filter(
  (way) => way !== 'slower than the lease' && way !== 'until the signal' && way !== 'extend',
)

interface Plan extends PlanFacts {
  readonly slow: keyof typeof SLOW | undefined
  readonly kinds: readonly QueueFault[]
  readonly steps: number
  readonly logins: readonly Login[]
  readonly leases: readonly number[]
  readonly ways: readonly Way[]
  readonly file: boolean
}

function drawPlan(seed: number): Plan {
  const random = new Random(seed)
  const all = Object.keys(QUEUE_FAULTS) as QueueFault[]
  const slow = random.chance(0.04) ? random.pick(Object.keys(SLOW) as (keyof typeof SLOW)[]) : undefined
  const child = random.chance(0.5)
  const kinds = Array.from({ length: random.between(1, 5) }, () => random.pick(all))
  if (child) kinds.push('worker process killed')
  if (kinds.includes('queue paused')) kinds.push('queue resumed')
  if (kinds.some((kind) => kind.startsWith('right t'))) kinds.push('rights given back')
  const long = random.chance(0.1)
  return {
    seed,
    slow,
    child,
    kinds,
    steps: random.between(3, 9),
    logins: random.chance(0.3) ? ['good', 'short tokens', 'refused tokens', 'down at times'] : ['good'],
    leases: long ? [LONG_MS] : random.pick([[150], [400], [1_000], [150, 400, 1_000]]),
    ways: long ? QUICK_WAYS : WAYS,
    file: random.chance(0.25),
  }
}

/** Histories of queues. */
export function queueWorld(): World<Plan> {
  const children = new Spares(() => new ChildHand())
  const clocks = new ServerClocks()
  const kinds = Object.keys(QUEUE_FAULTS).filter((kind) => clocks.work || !kind.startsWith('clock'))
  return {
    kinds: [
      ...kinds,
      'token expired',
      'token refused',
      'login down',
      'half open',
      'server paused for longer than a grace',
      ...(process.platform === 'linux' ? ['object asleep'] : []),
    ],
    outcomes: OUTCOMES,
    told: { enqueued: 'enqueue', acked: 'enqueued', 'runs of handlers': 'began' },
    flags: ' --queues',
    env: clocks.env,
    drawPlan,
    varsOf: () => ({ ADMINS: ADMIN }),
    prepare: () => children.prepare(),
    play: (plan, server) => playQueue(plan, server, children),
    end: async () => {
      await children.end()
      clocks.end()
    },
  }
}

async function playQueue(plan: Plan, server: TestServer, children: Spares<ChildHand>): Promise<Played> {
  const { seed, logins, leases, ways } = plan
  const folder = mkdtempSync(join(tmpdir(), 'messkit-queue-'))
  const vars = { ADMINS: ADMIN }
  const stage = new QueueStage({ seed, server, vars, logins, leases, ways, children, folder })
  try {
    const { random, recorder } = stage
    for (let count = random.between(1, 3); count > 0; count--) (await stage.enqueuer()).add()
    for (let count = random.between(1, 4); count > 0; count--) await stage.hire({ child: plan.child && count === 1 })
    if (plan.slow) await SLOW[plan.slow](stage)
    await chaos(stage, plan)
    const mendedAt = performance.now()
    const rested = await Promise.race([stage.drain(), setTimeout(2 * REST_MS, undefined, { ref: false })])
    const ms = Math.round(performance.now() - mendedAt)
    if (rested === undefined) console.error(`seed ${seed}: at unrest: ${await stage.condition()}`)
    const readings = await stage.readings(plan.file)
    recorder.push({ e: 'rested', ms, limitMs: REST_MS })
    await stage.end()
    const history = recorder.stamped()
    const { verdict, outcomes } = judgeQueue(history, { readings })
    const complaints = history.flatMap(([, event]) => (event.e === 'complaint' ? [event.what] : []))
    return { verdict, history, outcomes, complaints }
  } finally {
    await stage.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function chaos(stage: QueueStage, { kinds, steps }: Plan): Promise<void> {
  const { random, recorder } = stage
  for (let step = 0; step < steps; step++) {
    await pause(random.between(0, 60))
    for (const enqueuer of stage.enqueuers) enqueuer.add()
    const kind = random.pick(kinds)
    if (await QUEUE_FAULTS[kind](stage)) recorder.fault(kind)
    if (random.chance(0.5)) for (const proxy of stage.proxies) proxy.heal()
  }
}

const SLOW = {
  /** Nobody says anything until the object has lost its memory, while all links stay; then it is woken by a job whose time has come. */
  asleep: async (stage: QueueStage): Promise<void> => {
    if (process.platform !== 'linux') return
    await stage.drain()
    const { recorder } = stage
    const runs = recorder.count('began')
    stage.enqueuers[0]?.add({ delayMs: ASLEEP_MS })
    const dueAt = performance.now() + ASLEEP_MS
    while (performance.now() < dueAt && !isAsleep(stage)) await pause(100)
    if (!isAsleep(stage)) return
    recorder.fault('object asleep')
    // The alarm is all that there is to wake it.
    while (performance.now() < dueAt + LATE_MS && recorder.count('began') === runs) await pause(100)
    if (recorder.count('began') === runs && stage.children.length === 0)
      recorder.push({ e: 'complaint', what: 'nobody woke the queue for a job whose time had come' })
  },
  /** Bytes go nowhere in one direction, and nobody is told: a client has to give its link up by itself. */
  'half open': async (stage: QueueStage): Promise<void> => {
    const { proxy } = stage.random.pick(stage.workers)
    const way = stage.random.pick([proxy.up, proxy.down])
    const { count } = proxy
    way.blackHole = true
    for (let looks = 0; looks < 1_000 && proxy.count === count; looks++) await pause(50)
    way.blackHole = false
    if (proxy.count > count) stage.recorder.fault('half open')
  },
  'paused for a grace': async ({ server, recorder }: QueueStage): Promise<void> => {
    process.kill(server.pid, 'SIGSTOP')
    await pause(11_000)
    process.kill(server.pid, 'SIGCONT')
    recorder.fault('server paused for longer than a grace')
  },
} as const

/** Whether the object is out of memory: then its file is closed. Only where the system tells. */
function isAsleep({ server, file }: QueueStage): boolean {
  const folder = `/proc/${server.pid}/fd`
  const open = readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`)
    } catch {
      return '' // closed while we looked
    }
  })
  return file !== undefined && !open.includes(file)
}
