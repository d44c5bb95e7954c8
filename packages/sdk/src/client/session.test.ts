import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { makeCursor } from '../protocol/cursor.ts'
import { LIMITS } from '../protocol/limits.ts'
import { HEARTBEAT } from '../protocol/version.ts'
import { Publisher } from './publisher.ts'
import { Session } from './session.ts'
import type { SessionEffect, SessionEvent, Subscriber } from './session-events.ts'

const HEARTBEAT_MS = 25_000
const EPOCH = '0123456789abcdef'
const SUBSCRIBER: Subscriber = { started() {}, batch() {}, gap() {}, failed() {} }

/** A session on its own: events in, effects out, and the requests that it has sent. */
class Stage {
  nowMs = 1_000
  generation = 0
  readonly publisher = new Publisher('publisher')
  random = 0.5
  readonly session = new Session({
    topic: 'rooms/42',
    publisher: () => this.publisher,
    random: () => this.random,
    reconnect: { minMs: 100, maxMs: 200 },
  })
  effects: SessionEffect[] = []

  tell(event: SessionEvent): SessionEffect[] {
    const effects = this.session.step(event, this.nowMs)
    for (const effect of effects) if (effect.name === 'open') this.generation = effect.generation
    this.effects.push(...effects)
    return effects
  }

  /** The requests in what was just said. */
  requests(effects: readonly SessionEffect[]): { id: number; method: string }[] {
    return effects.flatMap((effect) =>
      effect.name === 'send' && effect.text.startsWith('{')
        ? [JSON.parse(effect.text) as { id: number; method: string }]
        : [],
    )
  }

  hear(frame: object): SessionEffect[] {
    return this.tell({ name: 'heard', generation: this.generation, frame, size: 100 })
  }

  refuse(code: string, retryable = true): SessionEffect[] {
    return this.hear({ id: null, error: { code: 1, message: code, data: { code, retryable } } })
  }

  connect({ expiresInMs }: { expiresInMs?: number } = {}): SessionEffect[] {
    this.tell({ name: 'token', token: 'a token' })
    const [hello] = this.requests(this.tell({ name: 'opened', generation: this.generation }))
    return this.hear({
      id: hello?.id,
      result: { version: 1, limits: LIMITS, nowMs: 0, heartbeatMs: HEARTBEAT_MS, features: [], expiresInMs },
    })
  }

  publish(line = '1'): SessionEffect[] {
    const sequence = this.publisher.settled + this.publisher.size + 1
    this.publisher.add({ sequence, line, key: undefined, origin: 'publisher', number: sequence })
    return this.tell({ name: 'publish' })
  }
}

let stage: Stage
beforeEach(() => {
  stage = new Stage()
})

describe('a link that is lost', () => {
  it('is tried again for what is published after nothing was wanted for a while', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.tell({ name: 'token', token: undefined })
    stage.tell({ name: 'lost', generation: stage.generation })
    stage.tell({ name: 'unsubscribe', by: SUBSCRIBER })
    expect(stage.session.state).toBe('idle')

    stage.publish()
    const effects = stage.tell({ name: 'token', token: undefined })

    expect(effects).toContainEqual({ name: 'wake-at', at: expect.any(Number) })
  })

  it('is tried again after a random share of a wait that grows', () => {
    const waits: number[] = []
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    for (const random of [0.1, 0.9, 0.25]) {
      stage.random = random
      stage.tell({ name: 'token', token: undefined })
      stage.tell({ name: 'lost', generation: stage.generation })
      const due = stage.effects.findLast(({ name }) => name === 'wake-at') as { at: number }
      waits.push(due.at - stage.nowMs)
      stage.nowMs = due.at
      stage.tell({ name: 'due' })
    }

    expect(waits).toEqual([10, 180, 50])
  })

  it('is not given up because a timer came late', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.connect()
    stage.nowMs += 60_000

    const effects = stage.tell({ name: 'due' })

    expect(effects).toContainEqual({ name: 'send', text: HEARTBEAT.ask })
    expect(stage.session.state).toBe('online')
  })

  it('is given up when a heartbeat stays unanswered', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.connect()
    stage.nowMs += HEARTBEAT_MS
    stage.tell({ name: 'due' })
    stage.nowMs += 10_000

    stage.tell({ name: 'due' })

    expect(stage.session.state).toBe('waiting')
  })
})

describe('an error of another shape than ours', () => {
  it('is taken for an internal one, and the link is tried again', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.connect()

    const effects = stage.tell({
      name: 'heard',
      generation: stage.generation,
      frame: { method: 'goodbye', params: { code: 7, retryAfterMs: 'soon' } },
      size: 50,
    })

    expect(effects).toContainEqual(
      expect.objectContaining({
        name: 'connection',
        state: 'waiting',
        error: expect.objectContaining({ code: 'internal' }),
      }),
    )
    expect(effects).toContainEqual({ name: 'wake-at', at: stage.nowMs + 50 })
  })
})

describe('a token that holds', () => {
  it('is renewed when the server says, whatever the clock on the wall says', () => {
    const clock = vi.spyOn(Date, 'now').mockReturnValue(8.64e15)
    onTestFinished(() => clock.mockRestore())
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.connect({ expiresInMs: 20_000 })
    const renewal = { name: 'ask-token', why: 'expiring' }

    stage.nowMs += 15_999
    expect(stage.tell({ name: 'due' })).not.toContainEqual(renewal)
    stage.nowMs += 1

    expect(stage.tell({ name: 'due' })).toContainEqual(renewal)
  })
})

describe('a token that is refused', () => {
  it('is asked for once more, and then it is a state', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.tell({ name: 'token', token: 'bad' })

    expect(stage.refuse('token_invalid', false)).toContainEqual({ name: 'ask-token', why: 'refused' })
    stage.tell({ name: 'token', token: 'bad, too' })
    stage.refuse('token_invalid', false)

    expect(stage.session.state).toBe('stuck')
  })

  it('counts anew once something else has gone wrong in between', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.tell({ name: 'token', token: 'old' })
    stage.refuse('token_expired')
    stage.tell({ name: 'token', token: 'newer' })
    stage.tell({ name: 'lost', generation: stage.generation })
    stage.nowMs += 1_000
    stage.tell({ name: 'due' })
    stage.tell({ name: 'token', token: 'newer' })

    expect(stage.refuse('token_expired')).toContainEqual({ name: 'ask-token', why: 'refused' })
  })

  it('is tried again after a while where time may heal it', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    for (const token of ['young', 'young, too']) {
      stage.tell({ name: 'token', token })
      stage.refuse('token_not_yet_valid')
    }
    stage.nowMs += 60_000

    expect(stage.tell({ name: 'due' })).toContainEqual({ name: 'ask-token', why: 'refused' })
  })
})

describe('a user who may not', () => {
  it('is asked about again when there is another token, or a hint, and not unasked', () => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'now' })
    stage.tell({ name: 'token', token: 'for little' })
    stage.refuse('forbidden', false)
    stage.nowMs += 3_600_000
    const unasked = stage.tell({ name: 'due' })

    expect(unasked).not.toContainEqual(expect.objectContaining({ name: 'ask-token' }))
    expect(stage.tell({ name: 'hint' })).toContainEqual({ name: 'ask-token', why: 'refused' })
  })
})

describe('a subscription that may not read what it missed', () => {
  const windowOf = (effects: readonly SessionEffect[], method: string): number[] =>
    (stage.requests(effects) as { id: number; method: string; params: { window: number } }[])
      .filter((request) => request.method === method)
      .map(({ params }) => params.window)
  const started = (from: number, gap?: object) => {
    const asked = stage.effects
      .flatMap((effect) => stage.requests([effect]))
      .filter(({ method }) => method === 'subscribe')
    return { id: asked.at(-1)?.id, result: { cursor: makeCursor(EPOCH, from), head: 9, ...(gap && { gap }) } }
  }

  it('is given its whole window again once it has handled what came before', () => {
    const through = LIMITS.creditBytes
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: 'start' })
    stage.connect()
    stage.hear(started(0))
    const messages = ['1', '2']
    const batch = { subscription: 1, first: 0, next: 2, through, runs: [['publisher', 1, 2, 0]], messages }
    stage.hear({ method: 'deliver', params: batch })
    stage.hear({ method: 'goodbye', params: { code: 'access_changed', message: '', retryable: true } })
    stage.nowMs += 1_000
    stage.tell({ name: 'due' })
    const narrow = windowOf(stage.connect(), 'subscribe')
    stage.hear(started(5, { from: 2, to: 5, reason: 'access' }))

    const handled = stage.tell({ name: 'handled', by: SUBSCRIBER, cursor: makeCursor(EPOCH, 2), through })

    // It cannot give credit back for a stretch of which nobody tells it how long it is.
    expect(narrow).toEqual([LIMITS.creditBytes - 100])
    expect(windowOf(handled, 'subscribe')).toEqual([LIMITS.creditBytes])
    expect(stage.requests(handled).map(({ method }) => method)).toEqual(['unsubscribe', 'subscribe'])
  })
})

describe('a frame that is turned away as such', () => {
  it('takes no earlier message with it', () => {
    stage.publish('"first"')
    stage.connect()
    const [first] = stage.requests(stage.effects).filter(({ method }) => method === 'publish')
    const [second] = stage.requests(stage.publish('"second"'))

    stage.hear({ id: second?.id, error: { code: 1, message: 'no', data: { code: 'bad_params', retryable: false } } })

    expect(stage.publisher.list().map(({ line }) => line)).toEqual(['"first"', '"second"'])
    const fates = [{ fate: 'stored', first: 1, count: 1, offset: 0 }]
    expect(stage.hear({ id: first?.id, result: { epoch: 'e', fates } })).toContainEqual({
      name: 'fates',
      epoch: 'e',
      fates,
    })
  })
})

describe('a user who may not publish as fast', () => {
  const limited = {
    code: 1,
    message: 'limit-rate',
    data: { code: 'limit_reached', retryable: true, retryAfterMs: 700 },
  }
  const partly = {
    epoch: '0mi8zq4k0abcdefg',
    fates: [
      { fate: 'stored', first: 1, count: 2, offset: 0 },
      { fate: 'unsent', first: 3, count: 2 },
    ],
    retryAfterMs: 500,
  }
  /** What the newest publish frame among the effects carries. */
  const carried = (effects: readonly SessionEffect[]) => {
    const text = effects.flatMap((effect) => (effect.name === 'send' ? [effect.text] : [])).at(-1) ?? '{}'
    const { id, params } = JSON.parse(text) as { id: number; params?: { first: number; messages: unknown[] } }
    return { id, first: params?.first, messages: params?.messages }
  }
  /** What becomes of messages is carried out by others. */
  const hear = (frame: object): SessionEffect[] => {
    const effects = stage.hear(frame)
    for (const effect of effects)
      if (effect.name === 'fates') for (const fate of effect.fates) stage.publisher.settle(fate)
    return effects
  }
  const after = (ms: number): SessionEffect[] => {
    stage.nowMs += ms
    return stage.tell({ name: 'due' })
  }

  it('sends again what was not taken, no sooner than it was told to, in order, and sets nothing aside', () => {
    for (const line of ['1', '2', '3', '4']) stage.publish(line)
    const first = carried(stage.connect())

    const taken = hear({ id: first.id, result: partly })
    const early = after(499)
    const second = carried(after(1))
    const refused = hear({ id: second.id, error: limited })
    const more = stage.publish('5')
    const tooEarly = after(699)
    const third = carried(after(1))

    expect([first, second, third].map(({ first: at, messages }) => [at, messages])).toEqual([
      [1, [1, 2, 3, 4]],
      [3, [3, 4]],
      [3, [3, 4, 5]],
    ])
    expect([...taken, ...early, ...refused, ...more, ...tooEarly].filter(({ name }) => name === 'send')).toEqual([])
    expect(stage.effects.some(({ name }) => name === 'publisher-lost')).toBe(false)
    expect(stage.publisher.list().map(({ line }) => line)).toEqual(['3', '4', '5'])
  })

  it('lets nothing behind it overtake what was not taken', () => {
    stage.publish('1')
    stage.publish('2')
    const first = carried(stage.connect())
    const behind = carried(stage.publish('3'))

    // The answer to what was stored waits for the disk, a refusal does not.
    hear({ id: behind.id, error: { code: 1, message: 'gap', data: { code: 'sequence_gap', retryable: true } } })
    hear({
      id: first.id,
      result: {
        ...partly,
        fates: [
          { fate: 'stored', first: 1, count: 1, offset: 0 },
          { fate: 'unsent', first: 2, count: 1 },
        ],
      },
    })
    const again = carried(after(500))

    expect([again.first, again.messages]).toEqual([2, [2, 3]])
  })
})

describe('a subscription that goes on behind a cursor', () => {
  const asked = '0mi8zq4k0abcdefg_0000000000000005'

  it.each([
    ['further back', '0mi8zq4k0abcdefg_0000000000000000'],
    ['further on', '0mi8zq4k0abcdefg_0000000000000007'],
    ['in another log', '0mi8zq4k0hijklmn_0000000000000005'],
  ])('is not begun %s without a word of it', (_, cursor) => {
    stage.tell({ name: 'subscribe', by: SUBSCRIBER, from: asked as never })
    const [request] = stage.requests(stage.connect())

    const effects = stage.hear({ id: request?.id, result: { cursor, head: 9 } })

    expect(effects.map(({ name }) => name)).not.toContain('started')
    expect(effects).toContainEqual(
      expect.objectContaining({ name: 'subscribe-failed', error: expect.objectContaining({ code: 'bad_frame' }) }),
    )
  })
})
