import { checkpointAt, recover } from '../../../packages/sdk/src/broker/checkpoint.ts'
import type { Identity } from '../../../packages/sdk/src/broker/machine.ts'
import { ALL_RIGHTS } from '../../../packages/sdk/src/broker/machine.ts'
import type { Retention } from '../../../packages/sdk/src/broker/retention.ts'
import { type Fault, fault } from '../../../packages/sdk/src/protocol/error-codes.ts'
import { LIMITS } from '../../../packages/sdk/src/protocol/limits.ts'
import type { Chunk, ChunkHead } from '../../../packages/sdk/src/store/store.ts'
import type { FinalLog, HistoryEvent } from '../../support/checker/history.ts'
import { Verdict } from '../../support/checker/verdict.ts'
import { Random } from '../random.ts'
import { drawRights, Rights } from '../rights.ts'
import { Scheduler } from '../scheduler.ts'
import { Server, TOPIC } from '../server.ts'
import { drawSwarm as drawServerSwarm } from '../swarm.ts'
import type { Counters, Outcome, simulate as simulateCore, World } from '../world.ts'
import { App, RESUMED } from './app.ts'
import { Browser, type Remote } from './browser.ts'
import { Chaos } from './chaos.ts'
import { readLog, Story } from './story.ts'
import { type BrowserSwarm, drawSwarm } from './swarm.ts'
import { Tab } from './tab.ts'

type Watch = NonNullable<Parameters<typeof simulateCore>[1]>

/** When the faults stop, everything must come to rest within this much virtual time. */
const REST_MS = 180_000
/** When the clock of a simulation begins. */
const START_MS = 1_700_000_000_000
const AFTERMATH_MS = 21_000

/** One whole history: chaos, healing, draining, judgement. One at a time: bounds are shared by all that runs. */
export async function simulate(seed: number, watch?: Watch): Promise<Outcome> {
  const random = new Random(seed)
  const swarm = drawSwarm(random)
  const original = { ...LIMITS }
  Object.assign(LIMITS, swarm.limits)
  const world = new TabWorld(random, swarm, { seed, watch })
  const rejected = (error: unknown): void => world.threw(Tab.running, error)
  process.on('unhandledRejection', rejected)
  try {
    const verdict = await world.live()
    if (world.thrown) throw world.thrown
    const history = world.stories.flatMap((story) => story.history)
    return { seed, verdict, counters: world.counters, steps: world.clock.steps, history }
  } finally {
    process.off('unhandledRejection', rejected)
    Object.assign(LIMITS, original)
    Tab.reset()
  }
}

/** Browsers with their tabs, and a server. */
export class TabWorld {
  readonly clock: Scheduler
  readonly random: Random
  readonly swarm: BrowserSwarm
  readonly browsers: readonly Browser[]
  readonly apps = new Map<Tab, App>()
  readonly stories: readonly Story[]
  /** What a page threw first that nobody caught. */
  thrown: Error | undefined
  readonly server: Server
  readonly remote: Remote
  readonly remoteWorld: World
  /** The server takes no token. */
  tokensRefused = false
  healed = false
  readonly counters: Counters = new Map()
  /** What the server refuses may change when it is started again, and never while links live. */
  deployments = 0
  readonly #onServer: readonly Story[]
  readonly #inBrowser = new Map<Browser, readonly Story[]>()

  constructor(
    random: Random,
    swarm: BrowserSwarm,
    { seed, watch = () => {} }: { seed: number; watch?: Watch | undefined },
  ) {
    this.random = random
    this.swarm = swarm
    this.clock = new Scheduler(random)
    const watched = (event: HistoryEvent): void => watch(event, this.clock.now - START_MS)
    this.remoteWorld = this.#makeRemoteWorld(seed)
    this.server = this.remoteWorld.server
    this.remote = { world: this.remoteWorld, spoil: (frame) => this.#spoil(frame) }
    this.browsers = Array.from({ length: swarm.browsers }, (_, i) => new Browser(this, `b${i + 1}`))
    this.#onServer =
      swarm.kind === 'local'
        ? []
        : [
            new Story('server', TOPIC, {
              watch: watched,
              log: () => this.#serverLog(),
              epoch: () => this.server.epoch,
              head: () => this.server.disk.head,
            }),
          ]
    for (const browser of this.browsers) {
      const local = ['one', 'two'].map(
        (topic) =>
          new Story(`${browser.name} ${topic}`, topic, {
            watch: watched,
            log: () => this.#localLog(browser, topic),
            epoch: () => this.#localState(browser, topic)?.epoch ?? '',
            head: () => this.#localState(browser, topic)?.head ?? 0,
          }),
      )
      this.#inBrowser.set(browser, swarm.kind === 'server' ? [] : local)
    }
    this.stories = [...this.#onServer, ...[...this.#inBrowser.values()].flat()]
  }

  /** The network and the server of the other simulation, with faults of its own. */
  #makeRemoteWorld(seed: number): World {
    const { clock, random } = this
    const rights = this.swarm.kind === 'local' ? undefined : drawRights(seed)
    const world = {
      clock,
      random,
      swarm: { ...drawServerSwarm(random), retention: this.#retention, tokens: {} },
      issuer: { verify: (token: string | undefined, nowMs: number) => this.#verify(Number(token), nowMs) },
      record: (event: HistoryEvent) => this.#onServer[0]?.record(event),
      count: (what: string) => this.counters.set(what, (this.counters.get(what) ?? 0) + 1),
      fault: (kind: string) => this.fault(kind),
      chance: (probability: number) => !this.healed && random.chance(probability),
    } as unknown as World & { server: Server; rights: Rights | undefined }
    Object.defineProperty(world, 'chaos', { get: () => !this.healed })
    world.rights = rights && new Rights(world, seed, rights, [USER])
    world.server = new Server(world)
    world.server.start()
    return world
  }

  #verify(until: number, nowMs: number): Identity | Fault {
    if (!this.tokensRefused && until > nowMs)
      return { key: 'issuer user', user: USER, rights: ALL_RIGHTS, expiresAt: until }
    this.fault('token refused')
    return fault(this.tokensRefused ? 'token_invalid' : 'token_expired')
  }

  /** A message that this server does not take. */
  #spoil(frame: string): string {
    return frame.replace(/"refuse":(\d+)/g, (text, until) => {
      if (Number(until) <= this.deployments) return text
      this.fault('message refused')
      return '"refuse":'
    })
  }

  get #retention(): Retention {
    const { retentionMessages } = this.swarm
    return retentionMessages === undefined ? {} : { messages: retentionMessages }
  }

  fault(kind: string): void {
    ;(this.stories[0] as Story).fault(kind)
  }

  threw(tab: Tab | undefined, cause: unknown): void {
    if (!tab?.dead) this.thrown ??= new Error(`${tab?.name ?? 'no page'} threw what nobody caught: ${cause}`, { cause })
  }

  died(tab: Tab): void {
    for (const story of this.stories) story.orphan(tab)
    this.apps.delete(tab)
  }

  storiesOf(browser: Browser): readonly Story[] {
    return [...this.#onServer, ...(this.#inBrowser.get(browser) ?? [])]
  }

  open(browser: Browser): void {
    const tab = browser.open()
    const app = new App(tab, {
      remote: this.#onServer,
      local: this.#inBrowser.get(browser) ?? [],
      retentionMessages: this.swarm.retentionMessages,
      asyncHandlers: this.swarm.asyncHandlers,
      replicaMessages: this.remoteWorld.rights && REPLICA_MESSAGES,
      token: () => String(Math.floor(this.clock.now + this.swarm.tokenMs)),
      saved: ({ topic }) =>
        browser.disk.names.some((name) =>
          browser.disk.read(name, 'cursors').some(({ key }) => key === `${topic}\n${RESUMED}`),
        ),
    })
    this.apps.set(tab, app)
    tab.run(() => app.mount())
  }

  // ---- running

  async live(): Promise<Verdict> {
    for (const browser of this.browsers) await this.#do(() => this.open(browser))
    const chaos = new Chaos(this)
    const { rights } = this.remoteWorld
    rights?.start()
    await this.#run(chaos.until)
    await this.#do(() => {
      chaos.heal()
      rights?.giveAll()
    })
    // Tabs that were about to die do so.
    await this.#run(this.clock.now + AFTERMATH_MS)
    // A tab without a database cannot look up what became of what it had stored there. Its user loads it anew.
    for (const browser of this.browsers)
      for (const tab of [...browser.tabs]) if (!this.#hasDatabase(tab)) await this.#do(() => tab.die())
    for (const browser of this.browsers) if (browser.tabs.size === 0) await this.#do(() => this.open(browser))
    const healedAt = this.clock.now
    while (this.clock.now < healedAt + 5 * REST_MS && !this.#atRest()) await this.#run(this.clock.now + 500)
    const rested = { e: 'rested', ms: this.clock.now - healedAt, limitMs: REST_MS } as const
    this.stories[0]?.record(rested)
    const verdict = await this.#judge()
    if (rights && !this.thrown) await this.#lose(rights, verdict)
    return verdict
  }

  /** In the end the right to read is taken for good, while all tabs are open: no copy is left on any disk, and no tab shows anything new. */
  async #lose(rights: Rights, verdict: Verdict): Promise<void> {
    const [story] = this.#onServer as [Story]
    const { head } = story
    rights.takeForGood(USER)
    for (const [tab, app] of this.apps)
      await this.#do(() => tab.run(() => app.publish(story, { n: 'after the end', pad: '' })))
    for (let looks = 0; looks < 3; looks++) {
      await this.#run(this.clock.now + LOSING_MS)
      for (const tab of this.apps.keys()) await this.#do(() => tab.fire('visibilitychange'))
    }
    const wrong = (what: string): void => verdict.violated('served after the right was gone', what)
    for (const [{ name }, { shown }] of this.apps)
      if (verdict.failed('served after the right was gone', (shown.get(story) ?? 0) <= head))
        wrong(`${name} shows what was published later`)
    for (const { name, disk } of this.browsers) {
      const rows = disk.names.flatMap((database) => disk.read(database, 'copies'))
      if (verdict.failed('served after the right was gone', rows.length === 0))
        wrong(`${rows.length} rows of the copy are left in ${name}`)
    }
  }

  /** What is due until then. After each event of a page, everything that it has set going runs before the next one. */
  async #run(until: number): Promise<void> {
    for (;;) {
      this.clock.run(until, () => Tab.running !== undefined)
      if (!Tab.running) return
      await settled()
      Tab.leave()
    }
  }

  /** As an event of its own. */
  async #do(task: () => void): Promise<void> {
    this.clock.in(0, task)
    await this.#run(this.clock.now)
  }

  #hasDatabase(tab: Tab): boolean {
    const messes = this.apps.get(tab)?.messes ?? []
    return messes.every(({ status }) => status.storage === 'disk' || status.storage === 'full')
  }

  #atRest(): boolean {
    return this.#waiting() === undefined
  }

  #waiting(): string | undefined {
    if (!this.server.up) return 'the server is down'
    if (this.browsers.some(({ disk }) => disk.writing)) return 'something is being written'
    for (const story of this.stories) {
      const { head } = story
      for (const [tab, app] of this.apps) {
        if (!this.storiesOf(tab.browser).includes(story)) continue
        if (!app.subs.get(story)?.has(app.me)) return `${app.me} has not started in ${story.name}`
        for (const sub of app.subs.get(story) ?? [])
          if (story.positions.get(sub) !== head)
            return `${sub} stands at ${story.positions.get(sub)} in ${story.name}, which ends at ${head}`
      }
    }
    // A tab that has lost its database cannot look up what became of what it had stored there.
    for (const [tab, { messes }] of this.apps)
      for (const { status } of messes)
        if (status.unsent > 0) return `${tab.name} has ${status.unsent} unsent messages (${status.connection})`
    for (const { name, disk } of this.browsers)
      for (const database of disk.names) {
        const left = disk.read(database, 'outbox').length
        if (left > 0) return `${left} rows are in the outbox of ${name}`
      }
    return undefined
  }

  async #judge(): Promise<Verdict> {
    const verdict = new Verdict()
    const waiting = this.#waiting()
    if (waiting) verdict.violated('did not come to rest', waiting)
    const readings = await this.#readings()
    for (const story of this.stories) {
      const live = [...this.apps.values()].flatMap((app) => [...(app.subs.get(story) ?? [])])
      verdict.add(story.judge(readings.get(story) ?? [], live), story.name)
    }
    verdict.histories = 1
    verdict.invalid = verdict.invalid === this.stories.length ? 1 : 0
    return verdict
  }

  /** Every topic as a reader finds it, and every outbox as its owner does. */
  async #readings(): Promise<Map<Story, FinalLog[]>> {
    const readings = new Map<Story, FinalLog[]>()
    for (const browser of this.browsers) {
      const app = [...this.apps.values()].findLast(({ tab }) => tab.browser === browser) as App
      for (const story of this.storiesOf(browser)) {
        const { epoch, floor, head } = story.log
        const read = await this.#ask(app.tab, () => app.read(story))
        // A topic of which nothing is left tells a reader neither its name nor its end.
        const messages = (read ?? []).filter(({ offset }) => offset >= floor)
        readings.set(story, [...(readings.get(story) ?? []), { epoch, floor, head, messages }])
      }
      await this.#ask(app.tab, () => app.tidyUp(true))
    }
    return readings
  }

  async #ask<T>(tab: Tab, question: () => Promise<T>): Promise<T | undefined> {
    let answer: T | undefined
    await this.#do(() =>
      tab.run(() => {
        question().then(
          (value) => {
            answer = value
          },
          (error) => this.threw(tab, error),
        )
      }),
    )
    for (let patience = 1_000; answer === undefined && patience > 0; patience--) await this.#run(this.clock.now + 500)
    return answer
  }

  // ---- what lies on disks

  #serverLog(): FinalLog {
    if (this.server.epoch === '') return NOTHING
    const { disk, epoch } = this.server
    return readLog(disk.read(), { epoch, floor: disk.floor(epoch, this.server.now), head: disk.head })
  }

  #localState({ disk }: Browser, topic: string): { epoch: string; head: number } | undefined {
    const log = disk.read(LOCAL_DATABASE, 'logs').find(({ key }) => key === topic)?.value
    return log as { epoch: string; head: number } | undefined
  }

  #localLog(browser: Browser, topic: string): FinalLog {
    const { disk } = browser
    const of = <T>(store: string): T[] =>
      disk.read(LOCAL_DATABASE, store).flatMap(({ key, value }) => ((key as [string])[0] === topic ? [value as T] : []))
    const { epoch } = this.#localState(browser, topic) ?? {}
    if (epoch === undefined) return NOTHING
    const bodies = of<string>('bodies')
    const chunks = of<ChunkHead>('heads').map((head, i): Chunk => ({ ...head, body: bodies[i] as string }))
    const checkpoint = of<readonly [number, string]>('checkpoints')
    const heads = chunks.filter(({ next }) => next > checkpointAt(checkpoint))
    const { segments, head } = recover({ epoch, checkpoint, heads, tail: chunks.at(-1) }, this.#retention)
    return readLog(chunks, { epoch, floor: segments.floor(this.clock.now), head })
  }
}

/** Of all browsers. */
const USER = 'user'
const REPLICA_MESSAGES = 8
/** How long it takes until each tab has been in contact, in ms. */
const LOSING_MS = 40_000

/** Of clients without a server, a name or a user. */
const LOCAL_DATABASE = 'messkit/main/local/nobody'
const NOTHING: FinalLog = { epoch: '', floor: 0, head: 0, messages: [] }

/** Resolves once everything that was set going has run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
