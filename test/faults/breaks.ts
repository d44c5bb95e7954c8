import type { Random } from '../sim/random.ts'
import type { TestProxy, Way } from '../support/proxy.ts'
import type { TestServer } from '../support/server.ts'
import { pause } from './client.ts'

/** What can be broken whatever is played: a server, and the networks between it and its clients. */
export interface Scene {
  readonly random: Random
  readonly server: TestServer
  /** What the server is started with. */
  readonly vars: Record<string, string>
  /** Between the server and the clients that are there. */
  readonly proxies: readonly TestProxy[]
  /** In front of those that never read. */
  readonly silent?: readonly TestProxy[]
}

/** Breaks something, and says whether it could. What it broke at the server it also mends; networks are mended at the end. */
export type Fault<S extends Scene> = (stage: S) => Promise<boolean | undefined>

/** Faults of servers and networks, by the name under which they are counted. */
export const BREAKS = {
  'server killed': async ({ server, random, vars }) => {
    await server.kill()
    await pause(random.pick([0, 0, 5, 40]))
    await server.restart(vars)
    return true
  },
  'server stopped and started': async ({ server, random, vars, proxies, silent = [] }) => {
    let stopped = false
    const stopping = server.stop().then(() => {
      stopped = true
    })
    // It still serves whom it has, until they are sent away, as by whatever stands in front of it.
    await pause(random.between(0, 20))
    for (let looks = 0; !stopped; looks++) {
      for (const proxy of [...proxies, ...silent]) proxy.cut(looks === 0 ? 'end' : 'reset')
      await Promise.race([stopping, pause(20)])
      // Where a link was just being opened it does not end by itself; nobody waits for that forever.
      if (looks === 10) await server.kill()
    }
    await server.restart(vars)
    return true
  },
  'server paused': async ({ server, random }) => {
    process.kill(server.pid, 'SIGSTOP')
    await pause(random.between(5, 120))
    process.kill(server.pid, 'SIGCONT')
    return true
  },

  delay: (stage) =>
    network(stage, async ({ random }, ways) => {
      const [delayMs, jitterMs] = [random.pick([1, 5, 25]), random.pick([0, 5, 25])]
      for (const way of ways) Object.assign(way, { delayMs, jitterMs })
      await pause(random.between(0, 30))
    }),
  'held back': (stage) =>
    network(stage, async ({ random }, ways) => {
      for (const way of ways) way.held = true
      await pause(random.between(5, 100))
      for (const way of ways) way.held = false
    }),
  'black hole': (stage) =>
    network(stage, async ({ random }, ways, proxy) => {
      const how = random.pick(['reset', 'end'] as const)
      for (const way of ways) way.blackHole = true
      await pause(random.between(5, 60))
      for (const way of ways) way.blackHole = false
      proxy.cut(how)
    }),
  throttle: (stage) =>
    network(stage, async ({ random }, ways) => {
      const bytesPerSecond = random.pick([2_000, 20_000, 200_000])
      for (const way of ways) Object.assign(way, { bytesPerSecond })
      await pause(random.between(10, 80))
      for (const way of ways) way.bytesPerSecond = Number.POSITIVE_INFINITY
    }),
  'slices of a byte': (stage) =>
    network(stage, async ({ random }, ways) => {
      for (const way of ways) way.sliceBytes = 1
      await pause(random.between(5, 40))
      for (const way of ways) way.sliceBytes = Number.POSITIVE_INFINITY
    }),
  'cut after bytes': async (stage) => {
    const { random } = stage
    const [way] = waysOf(stage, proxyOf(stage))
    way.cutAfter = random.pick([random.between(0, 1_500), random.between(0, 20_000)])
    for (let waits = 0; waits < 10 && way.cutAfter < Number.POSITIVE_INFINITY; waits++) await pause(5)
    const happened = way.cutAfter === Number.POSITIVE_INFINITY
    way.cutAfter = Number.POSITIVE_INFINITY
    return happened
  },
  reset: async (stage) => broken(proxyOf(stage), 'reset'),
  'hung up': async (stage) => broken(proxyOf(stage), 'end'),
  'connections refused': async (stage) => {
    const proxy = proxyOf(stage)
    proxy.refusing = true
    proxy.cut('reset')
    await pause(stage.random.between(5, 60))
    proxy.refusing = false
    return true
  },
} as const satisfies Record<string, Fault<Scene>>

function proxyOf({ random, proxies }: Scene): TestProxy {
  return random.pick(proxies)
}

/** One direction, or both. */
function waysOf({ random }: Scene, { up, down }: TestProxy): readonly [Way, ...Way[]] {
  return random.pick([[up], [down], [up, down]] as const)
}

async function network(
  stage: Scene,
  work: (stage: Scene, ways: readonly Way[], proxy: TestProxy) => Promise<void>,
): Promise<true> {
  const proxies = stage.random.chance(0.3) ? stage.proxies : [proxyOf(stage)]
  await Promise.all(proxies.map((proxy) => work(stage, waysOf(stage, proxy), proxy)))
  return true
}

function broken(proxy: TestProxy, how: 'reset' | 'end'): boolean {
  const { open } = proxy
  proxy.cut(how)
  return open > 0
}
