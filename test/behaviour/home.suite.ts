import { describe, expect, it } from 'vitest'
import type { Identity, UserLimits } from '../../packages/sdk/src/broker/machine.ts'
import { ALL_RIGHTS } from '../../packages/sdk/src/broker/machine.ts'
import { RIGHTS, type Right } from '../../packages/sdk/src/broker/rights.ts'
import { splitLines } from '../../packages/sdk/src/protocol/answers.ts'
import { LINE_BREAK } from '../../packages/sdk/src/protocol/codec.ts'
import { makeCursor, parseCursor } from '../../packages/sdk/src/protocol/cursor.ts'
import type { HistoryResult } from '../../packages/sdk/src/protocol/frames/history.ts'
import type { PublishResult } from '../../packages/sdk/src/protocol/frames/publish.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import type { Stores } from '../../packages/sdk/src/store/store.suite.ts'
import { StoreFull } from '../../packages/sdk/src/store/store.ts'
import type { FrameClient } from '../support/frame-client.ts'
import { Stage } from './stage.ts'

const SECOND_MS = 1_000
const DAY_MS = 24 * 3_600_000
const TIMEOUT_MS = 30_000

const ANA = { key: 'issuer ana', user: 'ana', rights: ALL_RIGHTS }
const BOB = { key: 'issuer bob', user: 'bob', rights: ALL_RIGHTS }
const P = 'publisher_of_test'
const Q = 'another_publisher'

/** Large enough for a row of its own. */
const ROW = 'r'.repeat(LIMITS.tailBytes + 1)
const upTo = (next: number, first = 0) => Array.from({ length: next - first }, (_, i) => first + i)
const offsetOf = (cursor: string) => parseCursor(cursor)?.offset

/**
 * What every home of a topic does, whatever keeps its rows: a process over memory, a leading tab over IndexedDB, a Durable Object over
 * SQLite. Told in frames, since that is all that a client sees of a home.
 */
export function homeSuite(name: string, stores: Stores): void {
  const { within = (test: () => Promise<void>) => test() } = stores
  const promise = (sentence: string, test: (stage: Stage) => Promise<void>) =>
    it(sentence, { timeout: TIMEOUT_MS }, () =>
      within(async () => {
        const stage = await Stage.open(stores)

        await test(stage)

        expect(stage.problems).toEqual([])
      }),
    )

  describe(`${name}: a home of a topic`, () => {
    describe('greeting', () => {
      promise('says what it speaks, its bounds and its time', async (stage) => {
        const client = await stage.connect({ silent: true, identity: { ...ANA, expiresAt: stage.nowMs + 5_000 } })

        const result = await client.result(client.request('hello', { versions: [1, 2, 99], client: 'test' }))

        expect(result).toMatchObject({
          version: 1,
          limits: { messageBytes: LIMITS.messageBytes, frameBytes: LIMITS.frameBytes },
          nowMs: stage.nowMs,
          user: 'ana',
          expiresInMs: 5_000,
          features: [],
        })
      })

      promise('ends a link that shares no version with it', async (stage) => {
        const client = await stage.connect({ silent: true })

        const id = client.request('hello', { versions: [99] })

        expect(await client.refusal(id)).toBe('version_unsupported')
        expect(await client.ended()).toMatchObject({ code: 4500 })
      })

      promise('ends a link that begins with anything else', async (stage) => {
        const client = await stage.connect({ silent: true })

        const id = client.request('history', { limit: 1 })

        expect(await client.refusal(id)).toBe('hello_needed')
        expect(await client.ended()).toEqual({ code: 4502, reason: 'hello_needed' })
      })

      promise('serves no other topic', async (stage) => {
        const client = await stage.connect()

        const ids = [
          client.request('subscribe', { topic: 'rooms/43', subscription: 1, from: 'now', window: 1 }),
          client.request('history', { topic: 'rooms', limit: 1 }),
          client.request('unsubscribe', { topic: 'rooms/42/x', subscription: 1 }),
        ]

        for (const id of ids) expect(await client.refusal(id)).toBe('wrong_topic')
        expect(client.closed).toBeUndefined()
      })

      promise('answers what it does not understand, and goes on', async (stage) => {
        const client = await stage.connect()

        for (const text of ['no JSON', '[]', '{"jsonrpc":"2.0","id":77,"method":"dance","params":{}}'])
          client.sendText(text)
        await client.fence()

        const codes = client.frames.flatMap(({ error }) => (error ? [(error.data as { code: string }).code] : []))
        expect(codes.slice(0, 3)).toEqual(['bad_json', 'bad_frame', 'unknown_method'])
        expect(await client.append('still here')).toBe(0)
      })

      promise('ends a link that sends too much of that', async (stage) => {
        const [noisy, quiet] = [await stage.connect(), await stage.connect()]

        for (let i = 0; i <= LIMITS.faultsPerLink; i++) noisy.sendText('noise')

        expect(await noisy.ended()).toMatchObject({ code: 4504 })
        expect(await quiet.append('unharmed')).toBe(0)
      })
    })

    describe('G1: one total order', () => {
      promise('gives offsets from 0 on that grow by 1', async (stage) => {
        const client = await stage.connect()

        const offsets = [await client.append('a'), await client.append('b', 'c', 'd'), await client.append('e')]

        expect(offsets).toEqual([0, 1, 4])
      })

      promise('goes on behind what is stored after a restart, under the same epoch', async (stage) => {
        const before = await stage.connect()
        await before.append('a', 'b')
        const { epoch } = await before.history()

        await stage.restart()
        const after = await stage.connect()

        expect(await after.append('c')).toBe(2)
        expect(await after.history()).toMatchObject({ epoch, first: 0, next: 3, messages: ['a', 'b', 'c'] })
      })

      promise('never uses an offset again, also after everything was trimmed and after a restart', async (stage) => {
        await stage.restart({ ageMs: SECOND_MS })
        const client = await stage.connect()
        await client.append('a', 'b', 'c')

        stage.nowMs += 2 * LIMITS.sweepMs
        stage.due()
        const inBetween = await client.append('d')
        stage.nowMs += 2 * LIMITS.sweepMs
        stage.due()
        // The trim is durable once what is published behind it is; that one goes with the next.
        await client.append('e')
        stage.nowMs += 2 * LIMITS.sweepMs
        stage.due()
        await client.fence()
        await stage.restart()
        const after = await stage.connect()

        expect(inBetween).toBe(3)
        expect(await after.append('f')).toBe(5)
        expect(await after.history()).toMatchObject({ first: 5, next: 6, messages: ['f'] })
      })

      promise('shows two links one order, whoever publishes', async (stage) => {
        const [ana, bob] = [await stage.connect(), await stage.connect()]
        const readers = [await ana.subscribe('start'), await bob.subscribe('start')] as const

        const acks = upTo(20).map((i) => [ana, bob].map((client) => client.result(client.requestAppend(i))))
        await Promise.all(acks.flat())
        await Promise.all(readers.map((reader) => reader.reaches(40)))

        expect(readers[0].messages).toEqual(readers[1].messages)
        expect((await ana.history()).messages).toEqual(readers[0].messages)
      })

      promise('carries every payload as the text that it was', async (stage) => {
        const client = await stage.connect()
        const reader = await client.subscribe('now')
        const lines = [
          '{"__proto__": 1}',
          ' [1, 2 ]',
          '"\\u0000\u2028é🚀"',
          '1e2',
          'null',
          '{"a":1,"a":2}',
          '""',
          '123456789012345678901234567890',
        ]

        await client.answer(client.requestLines({ publisher: P, after: 0, first: 1 }, lines))
        await reader.reaches(lines.length)
        await stage.restart()
        const other = await stage.connect()
        const id = other.request('history', { limit: 100 })
        await other.answer(id)

        const delivered = client.texts.find((text) => text.includes('"deliver"')) as string
        const stored = other.texts.at(-1) as string
        expect(splitLines(delivered)?.body.split(LINE_BREAK)).toEqual(lines)
        expect(splitLines(stored)?.body.split(LINE_BREAK)).toEqual(lines)
      })

      promise('says who published what, when, and under which key', async (stage) => {
        const client = await stage.connect()

        await client.publish({ publisher: P, after: 0, first: 1, keys: ['k', null], ids: ['another_origin', 9] }, [
          'a',
          'b',
        ])

        const { runs } = await client.history()
        expect(runs).toEqual([[P, 1, 2, stage.nowMs, { ids: ['another_origin', 9], keys: ['k', null] }]])
      })
    })

    describe('G2: durable before it is acked', () => {
      promise('tells nobody anything before the commit is durable', async (stage) => {
        const [ana, bob] = [await stage.connect(), await stage.connect()]
        const reader = await bob.subscribe('now')
        for (const gate of [stage.store.commits, stage.store.flushes]) {
          gate.hold()
          const id = ana.requestAppend('a')
          await gate.reached()
          await Promise.all([ana.fence(), bob.fence()])

          const early = [ana.answered(id), reader.messages.length]
          gate.release()
          await ana.answer(id)

          expect(early).toEqual([undefined, stage.store.commits === gate ? 0 : 1])
        }
      })

      promise('hides from readers what is committed and not yet durable', async (stage) => {
        const client = await stage.connect()
        await client.append('a')
        stage.store.flushes.hold()
        const id = client.requestAppend('b')
        await stage.store.flushes.reached()

        const [forwards, backwards] = [await client.history(), await client.history({ reverse: true })]
        const late = await client.subscribe('start')
        await late.reaches(1)
        const before = [...late.messages]
        stage.store.flushes.release()
        await client.answer(id)
        await late.reaches(2)

        expect([forwards.messages, backwards.messages, before]).toEqual([['a'], ['a'], ['a']])
        expect(late.messages).toEqual(['a', 'b'])
      })

      promise('has one commit in flight, and makes the next one of all that came meanwhile', async (stage) => {
        const client = await stage.connect()
        stage.store.commits.hold()
        const first = client.requestAppend('first')
        await stage.store.commits.reached()

        const others = upTo(50).map((i) => client.requestAppend(i))
        await client.fence()
        const inFlight = stage.store.commits.count
        stage.store.commits.release()
        await Promise.all([first, ...others].map((id) => client.result(id)))

        expect(inFlight).toBe(1)
        expect(stage.store.commits.count).toBe(2)
        expect((await client.history()).messages).toEqual(['first', ...upTo(50)])
      })

      promise('starts a commit at once when nothing waits', async (stage) => {
        const client = await stage.connect()

        for (const i of upTo(3)) await client.append(i)

        expect(stage.store.commits.count).toBe(3)
      })

      promise('delivers on a link before it acks there', async (stage) => {
        const client = await stage.connect()
        await client.subscribe('now')

        const id = client.requestAppend('a')
        await client.answer(id)

        const order = client.frames.flatMap((frame) =>
          frame.method === 'deliver' ? ['deliver'] : frame.id === id ? ['ack'] : [],
        )
        expect(order).toEqual(['deliver', 'ack'])
      })

      promise('loses nothing that was acked when a commit fails, and closes every link', async (stage) => {
        const [ana, bob] = [await stage.connect({ publisher: P }), await stage.connect()]
        await ana.append('acked')

        stage.store.commits.failNext(new Error('disk'))
        const id = ana.requestAppend('not acked')
        const ends = [await ana.ended(), await bob.ended()]
        const again = await stage.connect({ publisher: P })

        expect(ends).toMatchObject([{ code: 4008 }, { code: 4008 }])
        expect(ana.answered(id)).toBeUndefined()
        expect(ana.frames.at(-1)).toMatchObject({ method: 'goodbye', params: { code: 'commit_failed' } })
        expect((await again.history()).messages).toEqual(['acked'])
        expect(await again.publish({ publisher: P, after: 1, first: 2 }, ['not acked'])).toMatchObject([
          { fate: 'stored', offset: 1 },
        ])
      })

      promise('recognises what was written by a commit whose flush failed', async (stage) => {
        const client = await stage.connect({ publisher: P })
        stage.store.flushes.failNext(new Error('disk'))
        client.requestAppend('a')
        await client.ended()

        const again = await stage.connect({ publisher: P })
        await again.publish({ publisher: P, after: 0, first: 1 }, ['a'])

        expect((await again.history()).messages).toEqual(['a'])
      })

      promise('says when the store is full', async (stage) => {
        const client = await stage.connect()
        stage.store.commits.failNext(new StoreFull('full'))

        client.requestAppend('a')

        expect(await client.ended()).toEqual({ code: 4007, reason: 'store_full' })
        expect(await (await stage.connect()).append('b')).toBe(0)
      })

      promise('closes its links when it cannot read, and serves the next ones', async (stage) => {
        const client = await stage.connect()
        await client.append('a')

        stage.store.reads.failNext(new Error('disk'))
        client.request('history', { limit: 1 })
        await client.ended()

        expect((await (await stage.connect()).history()).messages).toEqual(['a'])
      })

      promise('takes no more than undurableBytes, and what was too much once there is room', async (stage) => {
        const client = await stage.connect()
        const large = 'x'.repeat(LIMITS.messageBytes - 2)
        stage.store.commits.hold()
        const ids = upTo(12).map((i) =>
          client.requestPublish({ publisher: P, after: 3 * i, first: 3 * i + 1 }, [large, large, large]),
        )
        await client.fence()
        const refused = ids.filter((id) => client.answered(id))

        const code = await client.refusal(refused[0] as number)
        stage.store.commits.release()
        const taken = ids.length - refused.length
        await Promise.all(ids.slice(0, taken).map((id) => client.result(id)))
        const fates = await client.publish({ publisher: P, after: 3 * taken, first: 3 * taken + 1 }, [large])

        expect(code).toBe('busy')
        expect(3 * taken * LIMITS.messageBytes).toBeLessThanOrEqual(LIMITS.undurableBytes)
        expect(fates).toMatchObject([{ fate: 'stored', offset: 3 * taken }])
      })
    })

    describe('G3: stored once', () => {
      promise('answers a repeat with its first offset', async (stage) => {
        const client = await stage.connect()
        await client.append('someone else')
        await client.publish({ publisher: P, after: 0, first: 1 }, ['a', 'b', 'c'])

        const whole = await client.publish({ publisher: P, after: 0, first: 1 }, ['a', 'b', 'c'])
        const part = await client.publish({ publisher: P, after: 1, first: 2 }, ['b', 'c', 'd'])

        expect(whole).toEqual([{ fate: 'duplicate', first: 1, count: 3, offset: 1 }])
        expect(part).toEqual([
          { fate: 'duplicate', first: 2, count: 2, offset: 2 },
          { fate: 'stored', first: 4, count: 1, offset: 4 },
        ])
        expect((await client.history()).messages).toEqual(['someone else', 'a', 'b', 'c', 'd'])
      })

      promise('lets a repeat of something undurable wait until it is durable', async (stage) => {
        const [tab, other] = [await stage.connect(), await stage.connect()]
        stage.store.flushes.hold()
        const first = tab.requestPublish({ publisher: P, after: 0, first: 1 }, ['a'])
        await stage.store.flushes.reached()

        const repeat = other.requestPublish({ publisher: P, after: 0, first: 1 }, ['a'])
        await other.fence()
        const early = other.answered(repeat)
        stage.store.flushes.release()

        expect(early).toBeUndefined()
        expect([await tab.result(first), await other.result(repeat)]).toMatchObject([
          { fates: [{ fate: 'stored', offset: 0 }] },
          { fates: [{ fate: 'duplicate', offset: 0 }] },
        ])
      })

      promise('recognises what was stored when the process died between commit and ack', async (stage) => {
        const before = await stage.connect()
        stage.store.flushes.hold()
        const lost = before.requestPublish({ publisher: P, after: 0, first: 1 }, ['a', 'b'])
        await stage.store.flushes.reached()

        await stage.restart()
        const after = await stage.connect()
        const fates = await after.publish({ publisher: P, after: 0, first: 1 }, ['a', 'b'])

        expect(before.answered(lost)).toBeUndefined()
        expect(fates).toEqual([{ fate: 'duplicate', first: 1, count: 2, offset: 0 }])
        expect((await after.history()).messages).toEqual(['a', 'b'])
      })

      promise('stores what was not yet written when the process died', async (stage) => {
        const before = await stage.connect()
        stage.store.commits.hold()
        before.requestPublish({ publisher: P, after: 0, first: 1 }, ['a'])
        await stage.store.commits.reached()

        await stage.restart()
        const after = await stage.connect()
        const fates = await after.publish({ publisher: P, after: 0, first: 1 }, ['a'])

        expect(fates).toEqual([{ fate: 'stored', first: 1, count: 1, offset: 0 }])
      })

      promise('answers `duplicate` alone for what is older than the publisher window', async (stage) => {
        const client = await stage.connect()
        const frame = 300
        const frames = Math.ceil(LIMITS.publisherWindow / frame) + 2
        for (const i of upTo(frames)) {
          await client.publish({ publisher: P, after: i * frame, first: i * frame + 1 }, upTo(frame))
          // Without it all of them would be one stretch, of which nothing needs to be forgotten.
          await client.append('in between')
        }

        const oldest = await client.publish({ publisher: P, after: 0, first: 1 }, ['again'])
        const newest = await client.publish(
          { publisher: P, after: 0, first: frames * frame - LIMITS.publisherWindow + 1 },
          ['again'],
        )

        expect(oldest).toEqual([{ fate: 'duplicate', first: 1, count: 1 }])
        expect(newest).toMatchObject([{ fate: 'duplicate', offset: expect.any(Number) }])
      })

      promise('notices that an earlier message is missing', async (stage) => {
        const client = await stage.connect()
        await client.publish({ publisher: P, after: 0, first: 1 }, ['a'])

        const id = client.requestPublish({ publisher: P, after: 2, first: 3 }, ['c'])

        expect(await client.refusal(id)).toBe('sequence_gap')
        expect(await client.publish({ publisher: P, after: 1, first: 2 }, ['b', 'c'])).toMatchObject([
          { fate: 'stored', offset: 1, count: 2 },
        ])
      })

      promise('takes nothing blindly from a publisher that it does not know', async (stage) => {
        const client = await stage.connect()

        const id = client.requestPublish({ publisher: P, after: 7, first: 8 }, ['a'])

        expect(await client.refusal(id)).toBe('publisher_expired')
        expect((await client.history()).next).toBe(0)
      })

      promise('lets a refusal consume nothing, and looks at nothing behind it', async (stage) => {
        const client = await stage.connect()

        const first = await client.publish({ publisher: P, after: 0, first: 1 }, [
          'a',
          'x'.repeat(LIMITS.messageBytes),
          'c',
        ])
        // The client has noted the refusal of 2, so 1 is what 3 comes after.
        const second = await client.publish({ publisher: P, after: 1, first: 3 }, ['c'])
        // What was refused is tried again under a new number.
        const third = await client.publish({ publisher: P, after: 3, first: 4 }, ['b, shorter'])

        expect(first).toMatchObject([
          { fate: 'stored', first: 1, offset: 0 },
          { fate: 'refused', first: 2, count: 1, code: 'message_too_large' },
          { fate: 'unsent', first: 3, count: 1 },
        ])
        expect([second, third]).toMatchObject([[{ fate: 'stored', offset: 1 }], [{ fate: 'stored', offset: 2 }]])
        expect((await client.history()).messages).toEqual(['a', 'c', 'b, shorter'])
      })

      promise('makes somebody else’s publisher worth nothing', async (stage) => {
        const [ana, bob] = [await stage.connect({ identity: ANA }), await stage.connect({ identity: BOB })]
        await ana.publish({ publisher: P, after: 0, first: 1 }, ['ana 1', 'ana 2'])

        const stolen = await bob.publish({ publisher: P, after: 0, first: 1 }, ['bob 1'])
        const next = await ana.publish({ publisher: P, after: 2, first: 3 }, ['ana 3'])
        await stage.restart()
        const after = await stage.connect({ identity: ANA })
        const repeat = await after.publish({ publisher: P, after: 0, first: 1 }, ['ana 1', 'ana 2', 'ana 3'])

        expect([stolen, next]).toMatchObject([[{ fate: 'stored', offset: 2 }], [{ fate: 'stored', offset: 3 }]])
        expect(repeat).toEqual([
          { fate: 'duplicate', first: 1, count: 2, offset: 0 },
          { fate: 'duplicate', first: 3, count: 1, offset: 3 },
        ])
      })

      promise('keeps what it knows of publishers across checkpoints, trims and restarts', async (stage) => {
        await stage.restart({ messages: 50 })
        const client = await stage.connect()
        await client.publish({ publisher: 'early_publisher', after: 0, first: 1 }, ['early'])
        const count = LIMITS.checkpointChunks + 30
        for (const i of upTo(count)) await client.publish({ publisher: P, after: i, first: i + 1 }, [ROW])

        await stage.restart()
        const after = await stage.connect()
        const floor = (await after.history({ limit: 1 })).first
        const early = await after.publish({ publisher: 'early_publisher', after: 0, first: 1 }, ['early'])
        const repeat = await after.publish({ publisher: P, after: count - 2, first: count - 1 }, [ROW, ROW, 'new'])
        const gap = after.requestPublish({ publisher: P, after: count + 5, first: count + 6 }, ['too far'])

        expect(floor).toBe(count + 1 - 50)
        expect(early).toEqual([{ fate: 'duplicate', first: 1, count: 1, offset: 0 }])
        expect(repeat).toEqual([
          { fate: 'duplicate', first: count - 1, count: 2, offset: count - 1 },
          { fate: 'stored', first: count + 1, count: 1, offset: count + 1 },
        ])
        expect(await after.refusal(gap)).toBe('sequence_gap')
      })
    })

    describe('G4: every message, in order, without holes and repeats', () => {
      promise('begins where it was asked to, and says where that is', async (stage) => {
        const client = await stage.connect()
        const empty = await client.subscribe('now')
        await client.append(...upTo(10))

        const readers = [
          await client.subscribe('start'),
          await client.subscribe('now'),
          await client.subscribe({ last: 3 }),
          await client.subscribe({ last: 99 }),
          await client.subscribe(makeCursor(empty.epoch, 4)),
          await client.subscribe(makeCursor(empty.epoch, 10)),
        ]
        await client.append(10)
        for (const reader of [empty, ...readers]) await reader.reaches(11)

        expect([empty, ...readers].map(({ start }) => offsetOf(start.cursor))).toEqual([0, 0, 10, 7, 0, 4, 10])
        expect([empty, ...readers].map(({ start }) => start.head)).toEqual([0, 10, 10, 10, 10, 10, 10])
        for (const reader of [empty, ...readers])
          expect(reader.messages).toEqual(upTo(11, offsetOf(reader.start.cursor)))
        expect(readers.every(({ start, gaps }) => !start.gap && gaps.length === 0)).toBe(true)
      })

      promise('makes replay and live one path, however small the credit', async (stage) => {
        const [writer, client] = [await stage.connect(), await stage.connect()]
        for (const i of upTo(20)) await writer.append(i)
        const reader = await client.subscribe('start', { window: 1 })

        for (const i of upTo(40, 20)) await writer.append(i)
        await reader.reaches(40)
        for (const i of upTo(45, 40)) await writer.append(i)
        await reader.reaches(45)

        expect(reader.messages).toEqual(upTo(45))
      })

      promise('replays many pages while more is published', async (stage) => {
        const [writer, client] = [await stage.connect(), await stage.connect()]
        const text = 'x'.repeat(100_000)
        for (const i of upTo(20)) await writer.append({ i, text })
        const reader = await client.subscribe('start')

        for (const i of upTo(30, 20)) await writer.append({ i, text })
        await reader.reaches(30)

        expect(reader.messages.map((message) => (message as { i: number }).i)).toEqual(upTo(30))
      })

      promise('goes on from any position with a new link, also after a restart', async (stage) => {
        const writer = await stage.connect()
        for (const i of upTo(6)) await writer.append(2 * i, 2 * i + 1)
        const { epoch } = await writer.history({ limit: 1 })

        await stage.restart()
        const client = await stage.connect()
        const readers = []
        for (const offset of upTo(13)) readers.push(await client.subscribe(makeCursor(epoch, offset)))

        for (const [offset, reader] of readers.entries()) {
          await reader.reaches(12)
          expect(reader.messages).toEqual(upTo(12, offset))
        }
      })

      promise('lets no frame of a subscription through once it was ended', async (stage) => {
        const client = await stage.connect()
        const [ended, other] = [await client.subscribe('now'), await client.subscribe('now')]

        await client.result(client.request('unsubscribe', { subscription: ended.id }))
        await client.append('a')
        await other.reaches(1)
        const again = client.request('unsubscribe', { subscription: ended.id })

        expect([ended.messages, other.messages]).toEqual([[], ['a']])
        expect(await client.refusal(again)).toBe('unknown_subscription')
      })

      promise('lets no page through that was read for a subscription which was ended meanwhile', async (stage) => {
        const client = await stage.connect()
        await client.append('a')
        stage.store.reads.hold()
        const reader = await client.subscribe('start')
        await stage.store.reads.reached()

        await client.result(client.request('unsubscribe', { subscription: reader.id }))
        stage.store.reads.release()
        await client.history()

        expect(reader.messages).toEqual([])
      })

      promise('knows two subscriptions of one link apart, and takes no number twice', async (stage) => {
        const client = await stage.connect()
        const reader = await client.subscribe('now')

        const twice = client.request('subscribe', { subscription: reader.id, from: 'now', window: 1 })

        expect(await client.refusal(twice)).toBe('subscription_exists')
      })

      promise('serves so many subscriptions of a link and no more', async (stage) => {
        const client = await stage.connect()
        for (const _ of upTo(LIMITS.subscriptionsPerLink)) await client.subscribe('now')

        const id = client.request('subscribe', { subscription: 999, from: 'now', window: 1 })

        expect(await client.refusal(id)).toBe('too_many_subscriptions')
      })

      promise('tells those who stay nothing of those who leave', async (stage) => {
        const [ana, bob] = [await stage.connect(), await stage.connect()]
        const gone = await ana.subscribe('now')
        const stays = await bob.subscribe('now')

        ana.leave()
        await bob.append('a')
        await stays.reaches(1)

        expect(gone.messages).toEqual([])
        expect(stage.home.linkCount).toBe(1)
      })
    })

    describe('G4: waking from hibernation', () => {
      promise('goes on with links that outlived its memory', async (stage) => {
        const client = await stage.connect({ identity: ANA })
        const reader = await client.subscribe('now')
        await client.append('a')

        await stage.hibernate()
        await client.append('b')
        await reader.reaches(2)

        expect(reader.messages).toEqual(['a', 'b'])
      })

      promise('goes on with a reader in the middle of the log, without a hole or a repeat', async (stage) => {
        const client = await stage.connect()
        for (const i of upTo(12)) await client.append({ i, text: 'x'.repeat(200_000) })
        const reader = await client.subscribe('start', { window: 1, generous: false })
        await reader.reaches(1)

        while (reader.next < 12) {
          const { next } = reader
          await stage.hibernate()
          reader.credit(1)
          await reader.reaches(next + 1)
        }

        expect(reader.messages.map((message) => (message as { i: number }).i)).toEqual(upTo(12))
      })

      promise('shows those who followed the end that they missed something, if they did', async (stage) => {
        const [writer, client] = [await stage.connect(), await stage.connect()]
        const reader = await client.subscribe('now')
        await writer.append('seen')
        stage.store.flushes.hold()
        writer.requestAppend('stored, but never told')
        await stage.store.flushes.reached()

        await stage.hibernate()
        await client.until(() => reader.problems.length > 0)
        const [problem] = reader.problems.splice(0)
        const again = await client.subscribe(makeCursor(reader.epoch, 1))
        await again.reaches(2)

        expect(problem).toBe('stands at 1 and got 2 to 2')
        expect(again.messages).toEqual(['stored, but never told'])
      })

      promise('remembers who speaks on a link', async (stage) => {
        const client = await stage.connect({ identity: { ...ANA, expiresAt: stage.nowMs + SECOND_MS } })
        await client.publish({ publisher: P, after: 0, first: 1 }, ['a'])

        await stage.hibernate()
        const repeat = await client.publish({ publisher: P, after: 0, first: 1 }, ['a'])
        stage.nowMs += SECOND_MS
        stage.due()

        expect(repeat).toMatchObject([{ fate: 'duplicate', offset: 0 }])
        expect(await client.ended()).toMatchObject({ code: 4401 })
      })

      promise('reads nothing for readers who have no credit', async (stage) => {
        const client = await stage.connect()
        for (const i of upTo(3)) await client.append({ i, text: 'x'.repeat(500) })
        const reader = await client.subscribe('now', { window: 1, generous: false })
        await client.append({ i: 3, text: 'x'.repeat(500) }, 4)
        await client.append(5)
        await reader.reaches(5)

        await stage.hibernate()
        await client.fence()

        expect(stage.store.reads.count).toBe(0)
      })
    })

    describe('G5: one gap where that cannot be kept', () => {
      promise('says what was trimmed before the cursor, once, before the first message', async (stage) => {
        await stage.restart({ messages: 3 })
        const client = await stage.connect()
        for (const _ of upTo(10)) await client.append(ROW)
        const { epoch } = await client.history({ limit: 1 })

        const reader = await client.subscribe(makeCursor(epoch, 2))
        await reader.reaches(10)

        expect(offsetOf(reader.start.cursor)).toBe(2)
        expect(reader.gaps).toMatchObject([{ from: 2, to: 7, reason: 'retention' }])
        expect(reader.messages).toHaveLength(3)
        expect(client.frames.filter(({ method }) => method).map(({ method }) => method)[0]).toBe('gap')
      })

      promise('says it of a slow reader that was overtaken, once, and goes on', async (stage) => {
        await stage.restart({ messages: 3 })
        const [writer, client] = [await stage.connect(), await stage.connect()]
        const reader = await client.subscribe('now', { window: 1, generous: false })
        for (const _ of upTo(20)) await writer.append(ROW)
        await reader.reaches(1)

        reader.generous = true
        reader.credit(1)
        await reader.reaches(20)
        await writer.append('live again')
        await reader.reaches(21)

        expect(reader.gaps).toMatchObject([{ from: 1, to: 17, reason: 'retention' }])
        expect(reader.messages.at(-1)).toBe('live again')
      })

      promise(
        'says it of a reader behind whom everything was trimmed, and goes on with the next message',
        async (stage) => {
          await stage.restart({ ageMs: SECOND_MS })
          const [writer, client] = [await stage.connect(), await stage.connect()]
          const reader = await client.subscribe('now', { window: 1, generous: false })
          for (const _ of upTo(5)) await writer.append(ROW)
          await reader.reaches(1)

          stage.nowMs += 2 * LIMITS.sweepMs
          reader.generous = true
          reader.credit(1)
          await reader.reaches(5)
          await writer.append('next')
          await writer.append('and next')
          await reader.reaches(7)

          expect(reader.gaps).toMatchObject([{ from: 1, to: 5, reason: 'retention' }])
          expect(reader.messages.slice(1)).toEqual(['next', 'and next'])
        },
      )

      promise('says that a cursor belongs to another life of the log', async (stage) => {
        const client = await stage.connect()
        await client.append('a', 'b')

        const reader = await client.subscribe(makeCursor('0000000000000000', 7))
        await reader.reaches(2)

        expect(reader.start).toMatchObject({ gap: { from: 7, to: 0, reason: 'epoch' } })
        expect([reader.messages, reader.gaps]).toEqual([['a', 'b'], []])
      })

      promise('says that the log ends before the cursor', async (stage) => {
        const client = await stage.connect()
        await client.append('a', 'b')
        const { epoch } = await client.history({ limit: 1 })

        const reader = await client.subscribe(makeCursor(epoch, 3))
        await client.append('c')
        await reader.reaches(3)

        expect(reader.start).toMatchObject({ gap: { from: 3, to: 2, reason: 'rewound' } })
        expect([reader.messages, reader.gaps]).toEqual([['c'], []])
      })

      promise('says nothing where nothing is missing', async (stage) => {
        await stage.restart({ messages: 3 })
        const client = await stage.connect()
        for (const _ of upTo(10)) await client.append(ROW)
        const { epoch } = await client.history({ limit: 1 })

        const readers = [
          await client.subscribe('start'),
          await client.subscribe('now'),
          await client.subscribe({ last: 9 }),
          await client.subscribe(makeCursor(epoch, 7)),
        ]
        // Only then, or what is published would push out what is still being read.
        for (const reader of readers) await reader.reaches(10)
        await client.append('end')
        for (const reader of readers) await reader.reaches(11)

        expect(readers.flatMap(({ gaps, start }) => [...gaps, ...(start.gap ? [start.gap] : [])])).toEqual([])
      })
    })

    describe('G7: a slow reader costs no memory', () => {
      promise('sends as far as the credit reaches and one frame more', async (stage) => {
        const [writer, client] = [await stage.connect(), await stage.connect()]
        const reader = await client.subscribe('now', { window: 3_000, generous: false })

        for (const _ of upTo(30)) await writer.append('x'.repeat(1_000))
        await client.fence()
        const sent = reader.messages.length
        reader.credit(3_000)
        await client.until(() => reader.messages.length > sent)

        expect(sent).toBe(3)
      })

      promise('falls back to reading the log, and catches up to live', async (stage) => {
        const [writer, client] = [await stage.connect(), await stage.connect()]
        const reader = await client.subscribe('now', { window: 3_000, generous: false })
        const witness = await writer.subscribe('now')
        for (const i of upTo(200)) await writer.append({ i, text: 'x'.repeat(1_000) })

        while (reader.next < 200) {
          const { next } = reader
          reader.credit(3_000)
          await reader.reaches(next + 1)
        }
        reader.credit(3_000)
        await writer.append('live')
        await reader.reaches(201)

        expect(reader.messages).toEqual(witness.messages)
      })

      promise('does not hold up the others', async (stage) => {
        const client = await stage.connect()
        const stuck = await client.subscribe('now', { window: 0, generous: false })
        const reader = await client.subscribe('now')

        for (const i of upTo(20)) await client.append(i)
        await reader.reaches(20)

        expect([stuck.messages, reader.messages]).toEqual([[], upTo(20)])
      })

      promise('lets nobody take more than creditBytes at once', async (stage) => {
        const [writer, client] = [await stage.connect(), await stage.connect()]
        for (const i of upTo(40)) await writer.append({ i, text: 'x'.repeat(100_000) })
        const reader = await client.subscribe('start', { window: 1, generous: false })
        await reader.reaches(1)
        const before = reader.through

        reader.grant(Number.MAX_SAFE_INTEGER)
        await client.until(() => reader.through >= before + LIMITS.creditBytes)
        await client.history({ limit: 1 })

        expect(reader.through).toBeLessThanOrEqual(before + LIMITS.creditBytes + LIMITS.frameBytes)
      })
    })

    describe('retention', () => {
      promise('by count keeps at least what was asked, and cuts at rows', async (stage) => {
        await stage.restart({ messages: 5 })
        const client = await stage.connect()
        for (const _ of upTo(6)) await client.append(ROW, ROW, ROW)

        const { first, next } = await client.history()

        expect([first, next]).toEqual([12, 18])
      })

      promise('by bytes keeps at least what was asked, and cuts at rows', async (stage) => {
        const bytes = 3.5 * ROW.length
        await stage.restart({ bytes })
        const client = await stage.connect()
        for (const _ of upTo(12)) await client.append(ROW)

        const { first, next, messages } = await client.history()

        expect(messages.length * ROW.length).toBeGreaterThanOrEqual(bytes)
        expect([first, next]).toEqual([8, 12])
      })

      promise('by age is applied at once to what is read, and deletes when it is due', async (stage) => {
        await stage.restart({ ageMs: DAY_MS })
        const client = await stage.connect()
        await client.append(ROW)
        stage.nowMs += DAY_MS / 2
        await client.append(ROW)

        stage.nowMs += DAY_MS / 2 + 1
        const read = await client.history()
        const rowsBefore = (await stage.store.inner.read(0, 1e9)).length
        stage.due()
        await client.append(ROW)

        expect([read.first, read.next]).toEqual([1, 2])
        expect(stage.wakes.length).toBeGreaterThan(0)
        expect(Math.min(...stage.wakes)).toBeLessThanOrEqual(stage.nowMs)
        expect(rowsBefore).toBe(2)
        expect((await stage.store.inner.read(0, 1e9)).map(({ first }) => first)).toEqual([1, 2])
      })

      promise('loses no message that is published right after everything was trimmed', async (stage) => {
        await stage.restart({ ageMs: SECOND_MS })
        await (await stage.connect()).append('old')
        stage.nowMs += 2 * SECOND_MS
        await stage.restart({ ageMs: SECOND_MS })
        const client = await stage.connect()
        stage.due()

        await client.append('new')
        await stage.restart()

        expect((await (await stage.connect()).history()).messages).toEqual(['new'])
      })

      promise('deletes rows in the course of publishing', async (stage) => {
        await stage.restart({ messages: 10 })
        const client = await stage.connect()

        for (const _ of upTo(LIMITS.trimSegments + 20)) await client.append(ROW)

        expect((await stage.store.inner.read(0, 1e9)).length).toBeLessThan(LIMITS.trimSegments + 20)
      })

      promise('that is changed applies from the next start on', async (stage) => {
        const client = await stage.connect()
        for (const _ of upTo(10)) await client.append(ROW)

        await stage.restart({ messages: 4 })

        expect((await (await stage.connect()).history()).first).toBe(6)
      })
    })

    describe('history', () => {
      promise('leads page by page through everything, both ways', async (stage) => {
        const client = await stage.connect()
        for (const i of upTo(25)) await client.append(i)

        const on: HistoryResult[] = []
        do
          on.push(
            await client.history({
              limit: 7,
              ...(on.at(-1) && { from: makeCursor(on[0]?.epoch as string, on.at(-1)?.next as number) }),
            }),
          )
        while (on.at(-1)?.more)
        const back: HistoryResult[] = []
        do
          back.push(
            await client.history({
              limit: 7,
              reverse: true,
              ...(back.at(-1) && { from: makeCursor(back[0]?.epoch as string, back.at(-1)?.first as number) }),
            }),
          )
        while (back.at(-1)?.more)

        expect(on.map(({ first, next }) => [first, next])).toEqual([
          [0, 7],
          [7, 14],
          [14, 21],
          [21, 25],
        ])
        expect(back.map(({ first, next }) => [first, next])).toEqual([
          [18, 25],
          [11, 18],
          [4, 11],
          [0, 4],
        ])
        expect(on.flatMap(({ messages }) => messages)).toEqual(upTo(25))
        expect(back.toReversed().flatMap(({ messages }) => messages)).toEqual(upTo(25))
      })

      promise('cuts a page by its bytes, and leads on', async (stage) => {
        const client = await stage.connect()
        for (const i of upTo(12)) await client.append({ i, text: 'x'.repeat(200_000) })

        const [forwards, backwards] = [await client.history(), await client.history({ reverse: true })]

        expect([forwards.first, forwards.more, backwards.next, backwards.more]).toEqual([0, true, 12, true])
        expect(client.texts.every((text) => text.length <= LIMITS.frameBytes)).toBe(true)
      })

      promise('is empty for an empty topic and at its ends', async (stage) => {
        const client = await stage.connect()
        const empty = [await client.history(), await client.history({ reverse: true })]
        await client.append('a')
        const { epoch } = await client.history()

        const ends = [
          await client.history({ from: makeCursor(epoch, 1) }),
          await client.history({ from: makeCursor(epoch, 0), reverse: true }),
        ]

        expect(empty).toMatchObject([
          { first: 0, next: 0, more: false },
          { first: 0, next: 0, more: false },
        ])
        expect(ends).toMatchObject([
          { first: 1, next: 1, more: false, messages: [] },
          { first: 0, next: 0, more: false, messages: [] },
        ])
      })

      promise('ends at what is kept, and says what is not', async (stage) => {
        await stage.restart({ messages: 3 })
        const client = await stage.connect()
        for (const _ of upTo(10)) await client.append(ROW)
        const { epoch } = await client.history({ limit: 1 })

        const pages = [
          await client.history({ from: makeCursor(epoch, 2) }),
          await client.history({ from: makeCursor(epoch, 7) }),
          await client.history({ from: makeCursor(epoch, 12) }),
          await client.history({ from: makeCursor('0000000000000000', 4) }),
          await client.history({ reverse: true, limit: 100 }),
        ]

        expect(pages.map(({ first, next, more, gap }) => ({ first, next, more, gap }))).toEqual([
          { first: 7, next: 10, more: false, gap: { from: 2, to: 7, reason: 'retention' } },
          { first: 7, next: 10, more: false, gap: undefined },
          { first: 10, next: 10, more: false, gap: { from: 12, to: 10, reason: 'rewound' } },
          { first: 7, next: 10, more: false, gap: { from: 4, to: 7, reason: 'epoch' } },
          { first: 7, next: 10, more: false, gap: undefined },
        ])
      })

      promise('has so many pages of one link to read and no more', async (stage) => {
        const client = await stage.connect()
        await client.append('a')
        stage.store.reads.hold()

        const ids = upTo(LIMITS.readsPerLink + 1).map(() => client.request('history', { limit: 1 }))
        const code = await client.refusal(ids.at(-1) as number)
        stage.store.reads.release()
        await Promise.all(ids.slice(0, -1).map((id) => client.result(id)))

        expect(code).toBe('busy')
        expect((await client.history()).messages).toEqual(['a'])
      })
    })

    describe('rights', () => {
      const may = (...rights: Right[]): Identity => ({
        ...ANA,
        rights: rights.reduce((mask, right) => mask | RIGHTS[right], 0),
      })

      promise('are asked for by everything that has an effect', async (stage) => {
        const writer = await stage.connect()
        await writer.append('a', 'b')
        const nobody = await stage.connect({ identity: may('view') })

        const codes = [
          await nobody.refusal(nobody.requestAppend('c')),
          await nobody.refusal(nobody.request('subscribe', { subscription: 1, from: 'start', window: 1_000 })),
          await nobody.refusal(nobody.request('history', { limit: 1 })),
        ]
        nobody.notify('credit', { subscription: 1, through: 1_000 })
        await writer.append('c')
        await nobody.fence()

        expect(codes).toEqual(['forbidden', 'forbidden', 'forbidden'])
        expect(nobody.frames.filter(({ method }) => method !== undefined)).toEqual([])
        expect((await writer.history()).messages).toEqual(['a', 'b', 'c'])
      })

      promise('to publish and to subscribe say nothing about each other', async (stage) => {
        const writer = await stage.connect({ identity: may('publish') })
        const reader = await stage.connect({ identity: may('subscribe') })
        const following = await reader.subscribe('now')

        await writer.append('a')

        await following.reaches(1)
        expect(following.messages).toEqual(['a'])
        expect(await reader.refusal(reader.requestAppend('b'))).toBe('forbidden')
      })

      promise('to subscribe show nothing of what was before, wherever it is asked from', async (stage) => {
        const writer = await stage.connect()
        await writer.append('a', 'b', 'c')
        const reader = await stage.connect({ identity: may('subscribe') })
        const epoch = (await writer.subscribe('now')).epoch

        const starts = [
          await reader.subscribe('start'),
          await reader.subscribe({ last: 2 }),
          await reader.subscribe(makeCursor(epoch, 1)),
        ]
        await writer.append('d')
        for (const start of starts) await start.reaches(4)

        expect(starts.map(({ messages }) => messages)).toEqual([['d'], ['d'], ['d']])
        expect(starts.map(({ start }) => start.gap)).toEqual([
          undefined,
          undefined,
          { from: 1, to: 3, reason: 'access' },
        ])
      })

      promise('to history may begin at an offset', async (stage) => {
        const writer = await stage.connect()
        await writer.append('a', 'b', 'c', 'd')
        const reader = await stage.connect({ identity: { ...may('subscribe', 'history'), historyFrom: 2 } })
        const epoch = (await writer.subscribe('now')).epoch

        const all = await reader.history()
        const back = await reader.history({ reverse: true })
        const below = await reader.history({ from: makeCursor(epoch, 1) })
        const beforeThat = await reader.history({ from: makeCursor(epoch, 1), reverse: true })
        const following = await reader.subscribe('start')
        const resumed = await reader.subscribe(makeCursor(epoch, 0))
        await Promise.all([following.reaches(4), resumed.reaches(4)])

        for (const page of [all, back, below]) expect(page).toMatchObject({ messages: ['c', 'd'], more: false })
        expect(below.gap).toEqual({ from: 1, to: 2, reason: 'access' })
        expect(beforeThat.messages).toEqual([])
        expect(following.messages).toEqual(['c', 'd'])
        expect(resumed.messages).toEqual(['c', 'd'])
        expect(resumed.start.gap).toEqual({ from: 0, to: 2, reason: 'access' })
      })

      promise('that are taken away end the link before any other frame, also of what is on its way', async (stage) => {
        const [writer, reader, other] = [
          await stage.connect(),
          await stage.connect({ identity: may('subscribe', 'history') }),
          await stage.connect(),
        ]
        await writer.append('before')
        const [following, staying] = [await reader.subscribe('start'), await other.subscribe('start')]
        await following.reaches(1)
        stage.store.flushes.hold()
        const ack = writer.requestAppend('on its way')
        await stage.store.flushes.reached()

        reader.judge(may('view'))
        const told = reader.texts.length
        stage.store.flushes.release()
        await writer.result(ack)
        await writer.append('after')
        await staying.reaches(3)

        expect(await reader.ended()).toEqual({ code: 4403, reason: 'access_changed' })
        expect(reader.frames.at(-1)).toMatchObject({
          method: 'goodbye',
          params: { code: 'access_changed', retryable: true },
        })
        expect(reader.texts).toHaveLength(told)
        expect(following.messages).toEqual(['before'])
        expect(staying.messages).toEqual(['before', 'on its way', 'after'])
      })

      promise('that are taken away while a page is read keep the page back', async (stage) => {
        const writer = await stage.connect()
        await writer.append('secret')
        const reader = await stage.connect({ identity: may('history') })
        stage.store.reads.hold()
        const page = reader.request('history', { limit: 10 })
        await stage.store.reads.reached()

        reader.judge(may('view'))
        stage.store.reads.release()

        expect(await reader.refusal(page)).toBe('forbidden')
      })

      promise('that begin later keep older messages back, also those that are being replayed', async (stage) => {
        const writer = await stage.connect()
        await writer.append('a', 'b')
        const reader = await stage.connect({ identity: may('subscribe', 'history') })
        stage.store.reads.hold()
        reader.request('subscribe', { subscription: 9, from: 'start', window: 1_000 })
        await stage.store.reads.reached()

        reader.judge({ ...may('subscribe', 'history'), historyFrom: 2 })
        stage.store.reads.release()

        expect(await reader.ended()).toMatchObject({ reason: 'access_changed' })
        expect(reader.texts.join()).not.toContain('"a"')
      })

      promise('to nothing end the link for good', async (stage) => {
        const client = await stage.connect({ identity: may('publish') })

        client.judge(may())

        expect(await client.ended()).toEqual({ code: 4516, reason: 'forbidden' })
      })

      promise('that grow, or shrink where nothing is used, leave the link as it is', async (stage) => {
        const client = await stage.connect({ identity: may('subscribe') })
        const following = await client.subscribe('now')

        client.judge(may('subscribe', 'publish', 'history'))
        const offset = await client.append('mine')
        client.judge(may('subscribe', 'history'))
        await following.reaches(1)

        expect(offset).toBe(0)
        expect(await client.refusal(client.requestAppend('no more'))).toBe('forbidden')
        expect(client.closed).toBeUndefined()
      })

      promise('to publish, once gone, make no refusal of what was stored before', async (stage) => {
        const params = { publisher: 'publisher-of-ana', after: 0, first: 1 }
        const client = await stage.connect({ identity: may('publish', 'history') })
        stage.store.flushes.hold()
        const unheard = client.requestPublish(params, ['a', 'b'])
        await stage.store.flushes.reached()

        client.judge(may('history'))
        const again = client.requestPublish(params, ['a', 'b', 'c'])
        const behind = client.requestPublish({ ...params, after: 3, first: 4 }, ['d'])
        stage.store.flushes.release()

        await client.result(unheard)
        const duplicate = { fate: 'duplicate', first: 1, count: 2, offset: 0 }
        expect((await client.result<PublishResult>(again)).fates).toMatchObject([
          duplicate,
          { fate: 'refused', first: 3, count: 1, code: 'forbidden' },
        ])
        expect(await client.refusal(behind)).toBe('sequence_gap')
        expect((await client.history()).messages).toEqual(['a', 'b'])
      })

      promise('hold for a link that outlived the memory of its home', async (stage) => {
        const writer = await stage.connect()
        const client = await stage.connect({ identity: may('subscribe') })
        await client.subscribe('now')
        client.judge(may('subscribe', 'view'))

        await stage.hibernate()
        await writer.append('a')

        expect(await client.refusal(client.requestAppend('b'))).toBe('forbidden')
        expect(client.closed).toBeUndefined()
      })
    })

    describe('limits of a user', () => {
      const limited = (limits: UserLimits, who: Identity = ANA): Identity => ({ ...who, limits })
      const RATE = { rate: { count: 4, periodMs: 60_000 } }
      const ask = (client: FrameClient, after: number, payloads: readonly unknown[], publisher = P) =>
        client.requestPublish({ publisher, after, first: after + 1 }, payloads)
      const refusalOf = async (client: FrameClient, id: number) =>
        ((await client.answer(id)).error as { data: object } | undefined)?.data

      promise('take of a frame what the rate allows, and the rest once it does', async (stage) => {
        const client = await stage.connect({ identity: limited(RATE) })

        const first = await client.result<PublishResult>(ask(client, 0, upTo(6)))
        const tooSoon = await refusalOf(client, ask(client, 4, [4, 5]))
        stage.nowMs += 14_999
        const stillTooSoon = await refusalOf(client, ask(client, 4, [4, 5]))
        stage.nowMs += 1
        const one = await client.publish({ publisher: P, after: 4, first: 5 }, [4, 5])
        stage.nowMs += 15_000
        const last = await client.publish({ publisher: P, after: 5, first: 6 }, [5])

        expect(first).toMatchObject({
          fates: [
            { fate: 'stored', first: 1, count: 4, offset: 0 },
            { fate: 'unsent', first: 5, count: 2 },
          ],
          retryAfterMs: 15_000,
        })
        expect(tooSoon).toEqual({ code: 'limit_reached', retryable: true, retryAfterMs: 15_000 })
        expect(stillTooSoon).toEqual({ code: 'limit_reached', retryable: true, retryAfterMs: 1 })
        expect(one).toEqual([
          { fate: 'stored', first: 5, count: 1, offset: 4 },
          { fate: 'unsent', first: 6, count: 1 },
        ])
        expect(last).toMatchObject([{ fate: 'stored', offset: 5 }])
        expect((await client.history()).messages).toEqual(upTo(6))
      })

      promise('say with the greeting how much may be on its way', async (stage) => {
        const client = await stage.connect({ silent: true, identity: limited({ ...RATE, messageBytes: 1_000 }) })

        const result = await client.result(client.request('hello', { versions: [1] }))

        expect(result).toMatchObject({ limits: { publisherWindow: 4, messageBytes: 1_000 } })
      })

      promise('count a rate for a user and not for a link or a publisher, and for nobody else', async (stage) => {
        const [one, other, bob] = [
          await stage.connect({ identity: limited(RATE) }),
          await stage.connect({ identity: limited(RATE) }),
          await stage.connect({ identity: limited(RATE, BOB) }),
        ]
        await one.append('a', 'b', 'c', 'd')
        one.leave()
        const again = await stage.connect({ identity: limited(RATE) })

        const codes = [
          await other.refusal(ask(other, 0, ['e'], 'another_publisher')),
          await again.refusal(ask(again, 0, ['e'], 'a_third_publisher')),
        ]

        expect(codes).toEqual(['limit_reached', 'limit_reached'])
        expect(await bob.append('e')).toBe(4)
      })

      promise('let a repeat through that was paid for, however much is used up', async (stage) => {
        const client = await stage.connect({ identity: limited(RATE) })
        await client.publish({ publisher: P, after: 0, first: 1 }, ['a', 'b', 'c', 'd'])

        const repeat = await client.publish({ publisher: P, after: 0, first: 1 }, ['a', 'b', 'c', 'd'])
        const more = await client.publish({ publisher: P, after: 2, first: 3 }, ['c', 'd', 'e'])

        expect(repeat).toEqual([{ fate: 'duplicate', first: 1, count: 4, offset: 0 }])
        expect(more).toEqual([
          { fate: 'duplicate', first: 3, count: 2, offset: 2 },
          { fate: 'unsent', first: 5, count: 1 },
        ])
      })

      promise('forget nothing over a sleep or a restart', async (stage) => {
        const client = await stage.connect({ identity: limited(RATE) })
        await client.append('a', 'b', 'c', 'd')

        await stage.restart()
        const after = await stage.connect({ identity: limited(RATE) })
        const restarted = await after.refusal(ask(after, 0, ['e'], Q))
        stage.nowMs += 15_000
        await after.append('e')
        await stage.hibernate()
        const woken = await after.refusal(ask(after, 0, ['f'], Q))

        expect([restarted, woken]).toEqual(['limit_reached', 'limit_reached'])
      })

      promise('survive a clock that is set back', async (stage) => {
        const client = await stage.connect({ identity: limited(RATE) })
        await client.append('a', 'b', 'c', 'd')

        stage.nowMs -= DAY_MS
        const refused = await refusalOf(client, ask(client, 0, ['e'], Q))

        expect(refused).toEqual({ code: 'limit_reached', retryable: true, retryAfterMs: 15_000 })
      })

      promise(
        'set a message aside that is larger than its user may publish, whatever stands before it',
        async (stage) => {
          const client = await stage.connect({ identity: limited({ messageBytes: 10 }) })
          const other = await stage.connect({ identity: BOB })

          const fates = await client.publish({ publisher: P, after: 0, first: 1 }, [
            '12345678',
            'ä34567',
            '1234567é',
            'd',
          ])

          expect(fates).toMatchObject([
            { fate: 'stored', first: 1, count: 2 },
            {
              fate: 'refused',
              first: 3,
              count: 1,
              code: 'message_too_large',
              message: expect.stringContaining('10 bytes'),
            },
            { fate: 'unsent', first: 4, count: 1 },
          ])
          expect(await other.append('x'.repeat(100))).toBe(2)
        },
      )

      promise('give a user so many subscriptions, on all links together', async (stage) => {
        const two = limited({ subscriptions: 2 })
        const [one, other, bob] = [
          await stage.connect({ identity: two }),
          await stage.connect({ identity: two }),
          await stage.connect({ identity: limited({ subscriptions: 2 }, BOB) }),
        ]
        await one.subscribe('now')
        await one.subscribe('now')
        await bob.subscribe('now')

        const here = await refusalOf(one, one.request('subscribe', { subscription: 3, from: 'now', window: 1 }))
        const there = await refusalOf(other, other.request('subscribe', { subscription: 1, from: 'now', window: 1 }))
        one.leave()
        await other.subscribe('now')

        expect(here).toEqual({ code: 'too_many_subscriptions', retryable: false })
        // The other link may be one that its client has lost: that is no reason to give up.
        expect(there).toMatchObject({ code: 'limit_reached', retryable: true, retryAfterMs: 5_000 })
      })

      promise('let a user read back so far, and tell the rest as a gap', async (stage) => {
        const writer = await stage.connect({ identity: BOB })
        await writer.append(...upTo(10))
        const { epoch } = await writer.history()
        const client = await stage.connect({ identity: limited({ depth: 3 }) })

        const [start, last, cursor] = [
          await client.subscribe('start'),
          await client.subscribe({ last: 5 }),
          await client.subscribe(makeCursor(epoch, 4)),
        ]
        await cursor.reaches(10)
        const pages = [
          await client.history(),
          await client.history({ reverse: true }),
          await client.history({ from: makeCursor(epoch, 1) }),
        ]

        expect([start, last, cursor].map(({ start: { cursor: at } }) => offsetOf(at))).toEqual([7, 7, 7])
        expect(cursor.start.gap).toEqual({ from: 4, to: 7, reason: 'access' })
        expect(pages.map(({ messages, more }) => [messages, more])).toEqual([
          [[7, 8, 9], false],
          [[7, 8, 9], false],
          [[7, 8, 9], false],
        ])
        expect(pages[2]?.gap).toEqual({ from: 1, to: 7, reason: 'access' })
      })

      promise('that shrink keep back what is being replayed', async (stage) => {
        const writer = await stage.connect({ identity: BOB })
        await writer.append(...upTo(10))
        const [reader, publisher] = [await stage.connect({ identity: ANA }), await stage.connect({ identity: ANA })]
        await reader.subscribe('start', { window: 0 })

        reader.judge(limited({ depth: 3 }))
        publisher.judge(limited({ depth: 3 }))

        expect(await reader.ended()).toMatchObject({ code: 4403 })
        expect(publisher.closed).toBeUndefined()
      })
    })

    describe('tokens', () => {
      const authenticate = (token: string) => ({ token })

      promise('end a link when they expire, once it is due', async (stage) => {
        const client = await stage.connect({ identity: { ...ANA, expiresAt: stage.nowMs + SECOND_MS } })
        const other = await stage.connect()
        stage.due()
        await client.fence()

        stage.nowMs += SECOND_MS
        stage.due()

        expect(stage.wakes).toContain(stage.nowMs)
        expect(await client.ended()).toEqual({ code: 4401, reason: 'token_expired' })
        expect(client.frames.at(-1)).toMatchObject({ method: 'goodbye', params: { code: 'token_expired' } })
        expect(other.closed).toBeUndefined()
      })

      promise('count at the arrival of a frame, whether it was due or not', async (stage) => {
        const client = await stage.connect({ identity: { ...ANA, expiresAt: stage.nowMs + SECOND_MS } })

        stage.nowMs += SECOND_MS
        client.requestAppend('too late')

        expect(await client.ended()).toMatchObject({ code: 4401 })
        expect((await (await stage.connect()).history()).next).toBe(0)
      })

      promise('are renewed on the live link for the same user', async (stage) => {
        const client = await stage.connect({
          identity: { key: 'ana', rights: ALL_RIGHTS, expiresAt: stage.nowMs + SECOND_MS },
        })

        const result = await client.result(client.request('authenticate', authenticate(`ana ${stage.nowMs + 5_000}`)))
        stage.nowMs += 2 * SECOND_MS
        stage.due()

        expect(result).toEqual({ expiresInMs: 5_000 })
        expect(await client.append('still here')).toBe(0)
      })

      promise('of another user are refused, and change nothing', async (stage) => {
        const client = await stage.connect({ identity: { key: 'ana', rights: ALL_RIGHTS } })

        const codes = [
          await client.refusal(client.request('authenticate', authenticate('bob'))),
          await client.refusal(client.request('authenticate', authenticate('bad'))),
        ]

        expect(codes).toEqual(['user_mismatch', 'token_invalid'])
        expect(await client.append('still ana')).toBe(0)
      })
    })
  })
}
