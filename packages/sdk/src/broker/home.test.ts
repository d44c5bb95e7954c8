import { beforeEach, describe, expect, it } from 'vitest'
import { encodeRequest, parseFrame } from '../protocol/codec.ts'
import { fault } from '../protocol/error-codes.ts'
import { decodeRequest } from '../protocol/requests.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Loaded, LogStore } from '../store/store.ts'
import { type HomeOptions, type Port, TopicHome } from './home.ts'
import { ALL_RIGHTS, type Identity, NOBODY } from './machine.ts'

const FRESH = { identity: NOBODY, greeted: false, subscriptions: [] }
const hello = (id: number) => encodeRequest(id, 'hello', { versions: [1] })
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Notes what it is told; `heard` may be replaced to answer at once. */
class Peer implements Port {
  readonly texts: string[] = []
  readonly closed: (readonly [number, string])[] = []
  heard: (text: string) => void = () => {}

  send(text: string): void {
    this.texts.push(text)
    this.heard(text)
  }

  close(code: number, reason: string): void {
    this.closed.push([code, reason])
  }

  get ids(): unknown[] {
    return this.texts.map((text) => parseFrame(text)?.id)
  }
}

let memory: MemoryStore
let loads: ((loaded?: Loaded) => void)[]
let failures: unknown[]

/** A store that loads when `loads` is called. */
function slow(): LogStore {
  return {
    load: () =>
      new Promise((resolve, reject) => {
        loads.push((loaded) => (loaded === undefined ? reject(new Error('disk')) : resolve(loaded)))
      }),
    commit: (commit) => memory.commit(commit),
    durable: () => {},
    read: (from, maxBytes) => memory.read(from, maxBytes),
    readBefore: (to, maxBytes) => memory.readBefore(to, maxBytes),
  }
}

function home(options: Partial<HomeOptions> = {}): TopicHome {
  return new TopicHome({
    topic: 'chat',
    retention: {},
    store: memory,
    decode: decodeRequest,
    now: () => 1_000,
    newEpoch: () => '0mi8zq4k0abcdefg',
    onFailed: (error) => failures.push(error),
    ...options,
  })
}

beforeEach(() => {
  memory = new MemoryStore()
  loads = []
  failures = []
})

describe('loading', () => {
  it('begins with the first link and lets what arrives wait in order', async () => {
    const topic = home({ store: slow() })
    const peer = new Peer()

    const link = topic.attach(peer, FRESH)
    for (const id of [1, 2, 3]) topic.receive(link, hello(id))
    const before = peer.texts.length
    loads[0]?.(memory.load('0mi8zq4k0abcdefg'))
    await turn()

    expect([loads.length, before]).toEqual([1, 0])
    expect(peer.ids).toEqual([1, 2, 3])
  })

  it('lets nothing that an answer provokes overtake what its link sent before', async () => {
    const topic = home({ store: slow() })
    const peer = new Peer()
    const link = topic.attach(peer, FRESH)
    for (const id of [1, 2]) topic.receive(link, hello(id))
    peer.heard = (text) => {
      if (parseFrame(text)?.id === 1) topic.receive(link, hello(9))
    }

    loads[0]?.(memory.load('0mi8zq4k0abcdefg'))
    await turn()

    expect(peer.ids).toEqual([1, 2, 9])
  })

  it('forgets a link that goes away meanwhile', async () => {
    const topic = home({ store: slow() })
    const peer = new Peer()
    const link = topic.attach(peer, FRESH)
    topic.receive(link, hello(1))

    topic.detach(link)
    loads[0]?.(memory.load('0mi8zq4k0abcdefg'))
    await turn()

    expect(topic.linkCount).toBe(0)
    expect(peer.texts).toEqual([])
  })

  it.each<[string, (load: (loaded?: Loaded) => void) => void]>([
    ['the store does not load', (load) => load()],
    [
      'what it has stored cannot be read',
      (load) => load({ epoch: 'e', checkpoint: [[-1, 'no JSON']], heads: [], tail: undefined }),
    ],
  ])('closes the links when %s, and loads anew for the next one', async (_what, fail) => {
    const topic = home({ store: slow() })
    const [first, second] = [new Peer(), new Peer()]
    topic.attach(first, FRESH)

    loads.forEach(fail)
    await turn()
    const link = topic.attach(second, FRESH)
    topic.receive(link, hello(1))
    loads[1]?.(memory.load('0mi8zq4k0abcdefg'))
    await turn()

    expect(first.closed).toEqual([[4008, 'commit_failed']])
    expect(failures).toHaveLength(1)
    expect(second.ids).toEqual([1])
  })

  it('closes the links when a store that answers at once does not load', () => {
    const topic = home({
      store: {
        ...slow(),
        load: () => {
          throw new Error('disk')
        },
      },
    })
    const peer = new Peer()

    topic.attach(peer, FRESH)

    expect(peer.closed).toEqual([[4008, 'commit_failed']])
    expect(failures).toHaveLength(1)
  })
})

describe('links', () => {
  it('have numbers that are never used again', () => {
    const topic = home()

    const first = topic.attach(new Peer(), FRESH)
    topic.detach(first)
    const second = topic.attach(new Peer(), FRESH)

    expect(second).not.toBe(first)
    expect(topic.linkCount).toBe(1)
  })

  it('are not heard any more once they were closed', () => {
    const topic = home()
    const peer = new Peer()
    const link = topic.attach(peer, FRESH)

    topic.receive(link, encodeRequest(1, 'history', { topic: 'chat', limit: 1 }))
    topic.receive(link, hello(2))
    topic.detach(link)

    expect(peer.ids).toEqual([1])
    expect(peer.closed).toEqual([[4502, 'hello_needed']])
    expect(topic.linkCount).toBe(0)
  })

  it('fail together with a mistake of ours, and the log starts anew', () => {
    const topic = home()
    const [peer, other, next] = [new Peer(), new Peer(), new Peer()]
    const link = topic.attach(peer, FRESH)
    topic.attach(other, FRESH)
    peer.heard = () => {
      throw new Error('our mistake')
    }

    topic.receive(link, hello(1))
    const again = topic.attach(next, FRESH)
    topic.receive(again, hello(2))

    expect([peer.closed, other.closed]).toEqual([[[4008, 'commit_failed']], [[4008, 'commit_failed']]])
    expect(next.ids).toEqual([2])
  })
})

describe('checking tokens', () => {
  const authenticate = encodeRequest(2, 'authenticate', { token: 'a.b.c' })
  const ana: Identity = { key: 'issuer ana', user: 'ana', expiresAt: 5_000, rights: ALL_RIGHTS }

  async function check(verify: HomeOptions['verify'], identity = ana): Promise<Peer> {
    const topic = home(verify ? { verify } : {})
    const peer = new Peer()
    const link = topic.attach(peer, { identity, greeted: true, subscriptions: [] })
    topic.receive(link, authenticate)
    await turn()
    return peer
  }

  it('renews the identity of the same user', async () => {
    const peer = await check(() => Promise.resolve({ ...ana, expiresAt: 9_000 }))

    expect(peer.texts).toEqual(['{"jsonrpc":"2.0","id":2,"result":{"expiresInMs":8000}}'])
  })

  it.each<[string, HomeOptions['verify'], string]>([
    ['a token that does not count', () => Promise.resolve(fault('token_invalid')), 'token_invalid'],
    ['another user', () => Promise.resolve({ key: 'issuer bob', rights: ALL_RIGHTS }), 'user_mismatch'],
    ['a check that failed', () => Promise.reject(new Error('network')), 'internal'],
    ['a home that checks no tokens', undefined, 'user_mismatch'],
  ])('refuses %s and goes on as before', async (_what, verify, code) => {
    const peer = await check(verify)

    expect(peer.texts.map((text) => parseFrame(text)?.error?.data)).toMatchObject([{ code }])
    expect(peer.closed).toEqual([])
  })

  it('is not needed where there is only one user', async () => {
    const peer = await check(undefined, NOBODY)

    expect(peer.texts).toEqual(['{"jsonrpc":"2.0","id":2,"result":{}}'])
  })
})
