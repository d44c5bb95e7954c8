import { readdirSync, readlinkSync } from 'node:fs'
import { type Cursor, createMess } from '@messkit/sdk'
import { LIMITS } from '@messkit/sdk/protocol'
import { Random } from '../sim/random.ts'
import type { Note, Writer } from '../support/actors.ts'
import type { FinalLog } from '../support/checker/history.ts'
import { logFiles, readFile, readFrames, readLog, withFloor } from '../support/final-log.ts'
import { runProxy, type TestProxy } from '../support/proxy.ts'
import { RawLink } from '../support/raw-link.ts'
import { makeToken, type TestServer } from '../support/server.ts'
import { type ChildClient, keptPosition, uncertain } from './child-client.ts'
import { Client, type Login } from './client.ts'
import { HistoryRecorder } from './recorder.ts'
import { TopicRights } from './rights.ts'

/** What a history is played on: a server, one topic of its own, and clients that come and go. */
export class Stage {
  readonly recorder = new HistoryRecorder()
  /** What clients reported that nothing in a history should bring about. */
  readonly complaints: string[] = []
  readonly random: Random
  readonly server: TestServer
  readonly topic: string
  /** What the server is started with. */
  readonly vars: Record<string, string>
  readonly clients: Client[] = []
  readonly rights: TopicRights
  readonly #logins: readonly Login[]
  readonly #before: ReadonlySet<string>
  readonly #proxies = new Set<TestProxy>()
  readonly #silent: { readonly link: RawLink; readonly proxy: TestProxy }[] = []
  #child: { readonly process: ChildClient; readonly proxy: TestProxy; readonly name: string } | undefined
  #lastName = 0
  #ended = false

  constructor(seed: number, server: TestServer, vars: Record<string, string>, logins: readonly Login[]) {
    this.random = new Random(seed)
    this.server = server
    this.vars = vars
    this.topic = `faults/${seed}`
    this.#logins = logins
    this.rights = new TopicRights(server, this.topic, this)
    this.#before = new Set(logFiles(server.dataDir))
  }

  /** Between the server and the clients that are there. */
  get proxies(): readonly TestProxy[] {
    const proxies = this.clients.map(({ proxy }) => proxy)
    return this.#child ? [...proxies, this.#child.proxy] : proxies
  }

  /** In front of those that never read. */
  get silent(): readonly TestProxy[] {
    return this.#silent.map(({ proxy }) => proxy)
  }

  /** @param user in whose place it comes; left out: a new one */
  async client(user?: string): Promise<Client> {
    const { recorder, topic } = this
    // Each draws its own numbers: when it does depends on the machine, and must change nothing for the others.
    const random = new Random(this.random.between(0, 2 ** 32 - 1))
    const proxy = await this.#proxy()
    const login = random.pick(this.#logins)
    const complain = (what: string): void => void this.complaints.push(what)
    const number = ++this.#lastName
    const who = { name: `client ${number}`, user: user ?? `user-${number}` }
    const client = new Client({ ...who, topic, proxy, random, recorder, login, complain })
    this.clients.push(client)
    return client
  }

  async #proxy(): Promise<TestProxy> {
    const jitter = new Random(this.random.between(0, 2 ** 32 - 1))
    const proxy = await runProxy(this.server.port, jitter.next)
    this.#proxies.add(proxy)
    return proxy
  }

  /** So much at a time, so that there is always something on its way and never too much to check. */
  publish(writer: Writer): void {
    writer.keepInFlight(this.random.pick([1, 5, 30, 200]), this.random.pick([1, 20, 100, 200]))
  }

  /** A client dies; one in its place goes on with what its reader had written down. */
  async replace(client: Client): Promise<void> {
    const { reader, writer } = client
    this.clients.splice(this.clients.indexOf(client), 1)
    await client.crash()
    const next = await this.client(client.user)
    this.rights.moved(client, next)
    if (writer) this.publish(next.write())
    if (reader) next.read(reader.name, reader.position ?? 'start', reader.position !== undefined)
  }

  /** A client in a process of its own. */
  async startChild(process: ChildClient, orders: { readonly file: string; readonly pad: string }): Promise<void> {
    const proxy = await this.#proxy()
    const name = `process ${++this.#lastName}`
    this.#child = { process, proxy, name }
    const inFlight = this.random.pick([1, 10, 100])
    await process.start({ url: proxy.url, topic: this.topic, name, inFlight, ...orders })
  }

  get hasChild(): boolean {
    return this.#child !== undefined
  }

  /** SIGKILL; its reader goes on in this process. */
  async killChild(): Promise<void> {
    if (!this.#child) return
    const { process, name } = this.#child
    this.#child = undefined
    await process.kill()
    const events = process.events()
    this.recorder.merge(events)
    for (const id of uncertain(events)) this.recorder.push({ e: 'unknown', id, why: 'crash' })
    const position = keptPosition(events) as Cursor
    const client = await this.client()
    client.read(`${name} reads`, position, true)
  }

  /** Subscribes, and reads nothing of what is sent to it until the end. */
  async silentReader(): Promise<void> {
    const proxy = await this.#proxy()
    const link = await RawLink.open(proxy.url, this.topic, await makeToken())
    await link.ask('subscribe', { subscription: 1, from: 'start', window: LIMITS.creditBytes })
    link.pause()
    this.#silent.push({ link, proxy })
  }

  /** Nothing is broken any more, and everybody comes to rest. @returns where the log ends */
  async drain(): Promise<number> {
    for (const proxy of this.#proxies) proxy.heal()
    await this.rights.giveBack()
    // What crashes left uncertain is outnumbered, so that the history can show something.
    const uncertain = this.recorder.count('unknown') + this.recorder.count('refused')
    const survivor = this.clients.find(({ writer }) => writer)?.writer
    survivor?.keepInFlight(30)
    await survivor?.ackedMore(uncertain)
    await Promise.all(this.clients.map(({ writer }) => writer?.finish()))
    await this.#child?.process.finish()
    const { head } = await this.#history()
    await Promise.all(this.clients.map(({ reader }) => reader?.reached(head)))
    await this.#child?.process.reached(head)
    return head
  }

  /** Of clients that are still there. */
  get subscriptions(): string[] {
    const names = this.clients.flatMap(({ reader }) => (reader ? [reader.name] : []))
    return this.#child ? [...names, `${this.#child.name} reads`] : names
  }

  /** @param killed reads the file as well, which takes the end of the server */
  async readings(killed: boolean): Promise<[FinalLog, ...FinalLog[]]> {
    const history = await this.#history()
    const logs: [FinalLog, ...FinalLog[]] = [history, await this.#frames()]
    if (killed) {
      await this.server.kill()
      // Rows that are no longer served may not be deleted yet.
      for (const file of this.files()) logs.push(withFloor(history.floor, readFile(file)))
      await this.server.restart(this.vars)
    }
    return logs
  }

  async #history(): Promise<FinalLog> {
    const mess = createMess({ url: this.server.url, token: () => makeToken() })
    const log = await readLog(mess.topic<Note>(this.topic))
    await mess.close()
    return log
  }

  async #frames(): Promise<FinalLog> {
    const link = await RawLink.open(this.server.url, this.topic, await makeToken())
    const log = await readFrames(link)
    link.close()
    return log
  }

  files(): string[] {
    return logFiles(this.server.dataDir).filter((file) => !this.#before.has(file))
  }

  /** Whether the object of this topic is out of memory: then its file is closed. Only where the system tells. */
  get asleep(): boolean {
    const [file] = this.files()
    const folder = `/proc/${this.server.pid}/fd`
    const open = readdirSync(folder).map((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`)
      } catch {
        return '' // closed while we looked
      }
    })
    return file !== undefined && !open.includes(file)
  }

  /** What the clients last said about themselves, for a history that does not come to rest. */
  get condition(): string {
    return this.clients.map(({ name, status }) => `${name}: ${JSON.stringify(status)}`).join('; ')
  }

  /** Idempotent. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    for (const { link } of this.#silent) link.close()
    if (this.#child) {
      await this.#child.process.kill()
      this.recorder.merge(this.#child.process.events())
      this.#child = undefined
    }
    await Promise.all(this.clients.map((client) => client.close()))
    for (const proxy of this.#proxies) await proxy.end()
  }
}
