import { GapError, type Mess, MessError, type OutboxEntry, type Page, type Retention, SchemaError } from '@messkit/sdk'
import { LIMITS } from '@messkit/sdk/protocol'
import { describe, expect, onTestFinished, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { eventually } from '../support/eventually.ts'
import { countSchema, laterSchema } from './schemas.ts'

/** Where topics live, for a client that cannot tell the difference. */
export interface Place {
  readonly name: string
  /** A client, closed when the test is over. Where topics live inside of a client, another one sees others. */
  client(options?: { retention?: Retention; signal?: AbortSignal }): Promise<Mess>
  /** Two clients that see the same topics: one client, where topics live inside of it. */
  pair(): Promise<readonly [Mess, Mess]>
  /** How many messages in a row, and how many topics at once, are worth trying. */
  readonly messageCount: number
  readonly topicCount: number
  /** Every topic has a cipher: what is stored is not what was published, messages may be less large, and none counts before it is sealed. */
  readonly sealed?: boolean
}

/** What the public API promises wherever topics live. */
export function behaviour({ name, client, pair, messageCount, topicCount, sealed = false }: Place): void {
  const raw = (data: unknown): unknown => (sealed ? ['sealed.1', expect.any(String), expect.any(String)] : data)
  const unsealedTest = (name: string, run: () => Promise<void>): void => (sealed ? undefined : test(name, run))
  let lastTopic = 0
  const newTopic = () => `behaviour/${name.replaceAll(' ', '-')}-${++lastTopic}`

  describe(`publishing (${name})`, () => {
    test('a receipt is a promise of the ack, and has an id and a stored at once', async () => {
      const topic = (await client()).topic<string>(newTopic())

      const receipt = topic.publish('hello')

      expect(receipt).toBeInstanceOf(Promise)
      expect(receipt.id).toMatch(/^[a-z0-9]{20}-1$/)
      expect(await receipt.stored).toEqual({ durability: 'memory' })
      const ack = await receipt
      expect(ack).toMatchObject({ duplicate: false, offset: 0 })
      expect(ack.cursor).toMatch(/^[0-9a-z]{16}_0{15}1$/)
      expect(await receipt).toBe(ack)
    })

    test('a subscriber gets what was published, with all facts', async () => {
      const [one, other] = await pair()
      const name = newTopic()
      const data = { text: 'Grüße 👋 "\\ \u2028', list: [1, -0.5, null, true], __proto__: null, nested: { deep: [[]] } }
      const collected = collect(other.topic<typeof data>(name))
      await collected.subscription.ready
      const before = Date.now()

      const receipt = one.topic<typeof data>(name).publish(data, { key: 'the key/ä' })
      const ack = await receipt
      await eventually(() => expect(collected.messages).toHaveLength(1))

      const [message] = collected.messages
      expect(message?.data).toEqual(JSON.parse(JSON.stringify(data)))
      expect(message).toMatchObject({
        id: receipt.id,
        offset: 0,
        cursor: ack.cursor,
        key: 'the key/ä',
        own: one === other,
      })
      expect(Math.abs((message?.at.getTime() ?? 0) - before)).toBeLessThan(60_000)
    })

    test('offsets count up, and acks and messages agree on them', async () => {
      const [one, other] = await pair()
      const name = newTopic()
      const topic = one.topic<number>(name)
      const collected = collect(other.topic<number>(name))
      await collected.subscription.ready

      const receipts = [0, 1, 2, 3, 4].map((number) => topic.publish(number))
      const acks = await Promise.all(receipts)
      await collected.until([0, 1, 2, 3, 4])

      expect(acks.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4])
      expect(collected.messages.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4])
      expect(collected.messages.map(({ id }) => id)).toEqual(receipts.map(({ id }) => id))
    })

    test('whoever published a message knows it as their own', async () => {
      const mess = await client()
      const topic = mess.topic<string>(newTopic())
      const collected = collect(topic)
      await collected.subscription.ready

      await topic.publish('mine')

      await eventually(() => expect(collected.messages[0]?.own).toBe(true))
      expect((await topic.history()).messages[0]?.own).toBe(true)
    })

    test('payloads of every kind of JSON come back as they were', async () => {
      const topic = (await client()).topic<unknown>(newTopic())
      const payloads = [
        null,
        true,
        0,
        -1.5e300,
        '',
        'a\nb,\r\n"',
        [],
        {},
        [[1, [2]]],
        { a: { b: [{}] } },
        '\u0000\u001f\u2028😀',
      ]

      await Promise.all(payloads.map((payload) => topic.publish(payload)))

      expect((await topic.history()).messages.map(({ data }) => data)).toEqual(payloads)
    })

    unsealedTest('a message may be as large as messageBytes and not a byte larger', async () => {
      const topic = (await client()).topic<string>(newTopic())
      const largest = 'ä'.repeat((LIMITS.messageBytes - 2) / 2)

      await topic.publish(largest)

      expect((await topic.history()).messages[0]?.data).toBe(largest)
      expect(() => topic.publish(`${largest}a`)).toThrow(failure('message_too_large', 'message'))
    })

    test('a frame holds large keys and wide characters', async () => {
      const topic = (await client()).topic<string>(newTopic())
      const key = '\u0001'.repeat(LIMITS.keyBytes)
      const receipts = Array.from({ length: 1_500 }, (_, i) => topic.publish(`${i} ${'漢'.repeat(300)}`, { key }))

      const acks = await Promise.all(receipts)

      expect(acks.map(({ offset }) => offset)).toEqual(receipts.map((_, i) => i))
      const { messages } = await topic.history({ reverse: true, limit: 1 })
      expect(messages[0]).toMatchObject({ offset: 1_499, key })
    })

    test.each([
      ['undefined', () => undefined, 'bad_payload'],
      ['a function', () => () => {}, 'bad_payload'],
      ['a symbol', () => Symbol('no'), 'bad_payload'],
      ['a BigInt', () => ({ a: 1n }), 'bad_payload'],
      ['NaN', () => [Number.NaN], 'bad_payload'],
      ['Infinity', () => ({ a: { b: Number.POSITIVE_INFINITY } }), 'bad_payload'],
      ['undefined in an array', () => [1, undefined], 'bad_payload'],
      ['a Map', () => new Map([[1, 2]]), 'bad_payload'],
      ['a Set', () => ({ a: new Set([1]) }), 'bad_payload'],
      ['bytes', () => new Uint8Array(2), 'bad_payload'],
      ['a cycle', cycle, 'too_deep'],
      ['too deep a nesting', () => nested(LIMITS.payloadDepth + 1), 'too_deep'],
      ['half of a surrogate pair', () => 'a\ud800', 'bad_payload'],
      ['half of a surrogate pair in a key', () => ({ '\udc00': 1 }), 'bad_payload'],
      ['too much', () => 'x'.repeat(LIMITS.messageBytes), 'message_too_large'],
    ])('%s is refused at the call, and nothing is stored', async (_, payload, code) => {
      const topic = (await client()).topic<unknown>(newTopic())

      expect(() => topic.publish(payload())).toThrow(failure(code, 'message'))

      await topic.publish('good')
      expect((await topic.history()).messages.map(({ data }) => data)).toEqual(['good'])
    })

    test('the deepest payload that is allowed comes back', async () => {
      const topic = (await client()).topic<unknown>(newTopic())
      const deepest = nested(LIMITS.payloadDepth)

      await topic.publish(deepest)

      expect((await topic.history()).messages[0]?.data).toEqual(deepest)
    })

    test('options that are no good are refused at the call', async () => {
      const topic = (await client()).topic<number>(newTopic())

      expect(() => topic.publish(1, { key: '' })).toThrow(failure('bad_option'))
      expect(() => topic.publish(1, { key: 'x'.repeat(LIMITS.keyBytes + 1) })).toThrow(failure('bad_option'))
      expect(() => topic.publish(1, { key: '\ud800' })).toThrow(failure('bad_option'))
      expect(() => topic.publish(1, { waitMs: Number.NaN })).toThrow(failure('bad_option'))
      expect(() => topic.publish(1, { waitMs: -1 })).toThrow(failure('bad_option'))
      expect((await topic.history()).messages).toEqual([])
    })
  })

  describe(`subscribing (${name})`, () => {
    test('a subscription begins with what comes from now on', async () => {
      const [one, other] = await pair()
      const name = newTopic()
      const topic = one.topic<string>(name)
      await topic.publish('before')
      const collected = collect(other.topic<string>(name))

      const { cursor } = await collected.subscription.ready
      await topic.publish('after')

      await collected.until(['after'])
      expect(collected.messages[0]?.offset).toBe(1)
      expect(cursor).toMatch(/_0{15}1$/)
    })

    test('a subscription begins at the start, behind a cursor, or with the newest few', async () => {
      const [one, other] = await pair()
      const name = newTopic()
      const topic = one.topic<number>(name)
      const acks = await Promise.all([0, 1, 2, 3].map((number) => topic.publish(number)))
      const read = other.topic<number>(name)

      await collect(read, { from: 'start' }).until([0, 1, 2, 3])
      await collect(read, { from: acks[1]?.cursor as never }).until([2, 3])
      await collect(read, { from: { last: 1 } }).until([3])
      await collect(read, { from: { last: 100 } }).until([0, 1, 2, 3])
    })

    test('what is replayed and what comes meanwhile is one stream', async () => {
      const [one, other] = await pair()
      const name = newTopic()
      const topic = one.topic<number>(name)
      const count = 3_000
      const receipts = numbers(count / 2).map((number) => topic.publish(number))
      await Promise.all(receipts)

      const collected = collect(other.topic<number>(name), { from: 'start' })
      const more = numbers(count / 2).map((number) => topic.publish(count / 2 + number))

      await Promise.all(more)
      await collected.until(numbers(count))
    })

    test('state and cursor tell how far it is', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const ack = await topic.publish(1)

      const { subscription, until } = collect(topic, { from: 'start' })
      expect(subscription.state).toBe('starting')
      expect(subscription.cursor).toBeUndefined()
      await until([1])

      await eventually(() => expect(subscription.state).toBe('live'))
      expect(subscription.cursor).toBe(ack.cursor)
      subscription.stop()
      expect(subscription.state).toBe('stopped')
    })

    test('an asynchronous handler is waited for before the next message', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const log: string[] = []
      const steps = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
      const subscription = topic.subscribe(async ({ data }) => {
        log.push(`begins ${data}`)
        await steps[data]?.promise
        log.push(`ends ${data}`)
      })
      await subscription.ready

      await Promise.all([0, 1, 2].map((number) => topic.publish(number)))
      await eventually(() => expect(log).toEqual(['begins 0']))
      for (const { resolve } of steps.toReversed()) resolve()

      await eventually(() => expect(log).toEqual([0, 1, 2].flatMap((number) => [`begins ${number}`, `ends ${number}`])))
    })

    test('no handler starts after stop(), whoever calls it and however often', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      await Promise.all([0, 1, 2, 3].map((number) => topic.publish(number)))
      const seen: number[] = []

      const subscription = topic.subscribe(
        ({ data }) => {
          seen.push(data)
          if (data === 1) subscription.stop()
        },
        { from: 'start' },
      )
      await subscription.done
      subscription.stop()
      await topic.publish(4)

      expect(seen).toEqual([0, 1])
      expect(subscription.state).toBe('stopped')
    })

    test('one that is stopped before it has started says so', async () => {
      const topic = (await client()).topic<number>(newTopic())

      const subscription = topic.subscribe(() => {})
      subscription.stop()

      await expect(subscription.ready).rejects.toThrow(failure('stopped'))
      await subscription.done
    })

    test('a signal and Symbol.dispose stop it', async () => {
      const topic = (await client()).topic<number>(newTopic())
      const controller = new AbortController()
      const bySignal = topic.subscribe(() => {}, { signal: controller.signal })
      const tooLate = topic.subscribe(() => {}, { signal: AbortSignal.abort() })
      await bySignal.ready

      controller.abort()
      let disposed: { readonly done: Promise<void> } | undefined
      {
        using byBlock = topic.subscribe(() => {})
        await byBlock.ready
        disposed = byBlock
      }

      await Promise.all([bySignal.done, tooLate.done, disposed.done])
      expect([bySignal.state, tooLate.state]).toEqual(['stopped', 'stopped'])
    })

    test('one that is stopped and begun again at once gets everything once, as a page that mounts twice does', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      await topic.publish(0)

      const first = collect(topic, { from: 'start' })
      first.subscription.stop()
      const second = collect(topic, { from: 'start' })
      await topic.publish(1)

      await second.until([0, 1])
      expect(first.seen).toEqual([])
    })

    test('a topic has room for so many, and again for one when one has stopped', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const all = numbers(LIMITS.subscriptionsPerLink).map(() => topic.subscribe(() => {}))
      await Promise.all(all.map(({ ready }) => ready))

      const tooMany = topic.subscribe(() => {})
      await expect(tooMany.done).rejects.toThrow(failure('too_many_subscriptions'))
      await expect(tooMany.ready).rejects.toThrow(failure('too_many_subscriptions'))

      all[0]?.stop()
      const { subscription, until } = collect(topic)
      await subscription.ready
      await topic.publish(1)
      await until([1])
    })

    test('a handler may publish, and so on', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const count = messageCount / 20
      const { subscription, until } = collect(topic)
      await subscription.ready
      topic.subscribe(
        ({ data }) => {
          if (data + 1 < count) topic.publish(data + 1)
        },
        { from: 'start' },
      )

      await topic.publish(0)

      await until(numbers(count))
    })

    test('positions and names that are no good are refused at the call', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const subscribe = (options: object) => () => topic.subscribe(() => {}, options)

      for (const from of ['end', 'abc_1', '', `${'a'.repeat(16)}_99999999999999999`]) {
        expect(subscribe({ from })).toThrow(failure('bad_cursor'))
      }
      for (const last of [0, -1, 1.5, Number.NaN, '1'])
        expect(subscribe({ from: { last } })).toThrow(failure('bad_option'))
      expect(subscribe({ from: null })).toThrow(failure('bad_option'))
      expect(subscribe({ from: 7 })).toThrow(failure('bad_option'))
      expect(subscribe({ resume: '' })).toThrow(failure('bad_option'))
      for (const name of [
        '',
        'a//b',
        '/a',
        'a b',
        'a/../b',
        '_a',
        'ä',
        'x'.repeat(65),
        'a/b/c/d/e/f/g/h/i',
        7 as never,
      ]) {
        expect(() => mess.topic(name)).toThrow(failure('bad_name'))
      }
    })

    test('resume goes on behind what was handled, and belongs to one at a time', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      await Promise.all([0, 1, 2].map((number) => topic.publish(number)))
      const first = collect(topic, { resume: 'main', from: 'start' })
      await first.until([0, 1, 2])

      const second = topic.subscribe(() => {}, { resume: 'main' })
      await expect(second.done).rejects.toThrow(failure('resume_in_use'))
      first.subscription.stop()
      await topic.publish(3)

      await collect(topic, { resume: 'main', from: 'start' }).until([3])
      await collect(topic, { resume: 'other', from: 'start' }).until([0, 1, 2, 3])
    })
  })

  describe(`handlers that fail (${name})`, () => {
    test('by default the message is skipped, with an error event', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const errors: MessError[] = []
      mess.on('error', (error) => errors.push(error))
      const seen: number[] = []
      const cause = new Error('on purpose')
      const subscription = topic.subscribe(({ data }) => {
        seen.push(data)
        if (data === 1) throw cause
        if (data === 2) return Promise.reject(cause)
        return undefined
      })
      await subscription.ready

      await Promise.all([0, 1, 2, 3].map((number) => topic.publish(number)))

      await eventually(() => expect(seen).toEqual([0, 1, 2, 3]))
      expect(errors).toEqual([failure('handler_failed', 'message'), failure('handler_failed', 'message')])
      expect(errors.map((error) => error.cause)).toEqual([cause, cause])
    })

    test('onError may ask for the same message again', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const seen: number[] = []
      const subscription = topic.subscribe(
        ({ data }) => {
          seen.push(data)
          if (data === 1 && seen.length < 5) throw new Error('not yet')
        },
        { onError: () => ({ retryInMs: 1 }) },
      )
      await subscription.ready

      await Promise.all([0, 1, 2].map((number) => topic.publish(number)))

      await eventually(() => expect(seen).toEqual([0, 1, 1, 1, 1, 2]))
    })

    test.each(['at once', 'later'])(
      'onError may stop the subscription of a handler that throws %s, which then does not pass the message',
      async (when) => {
        const mess = await client()
        const topic = mess.topic<number>(newTopic())
        const acks = await Promise.all([0, 1, 2].map((number) => topic.publish(number)))
        const raws: unknown[] = []
        const subscription = topic.subscribe(
          ({ data }) => {
            if (data !== 1) return undefined
            const error = new Error('no')
            if (when === 'later') return Promise.reject(error)
            throw error
          },
          {
            from: 'start',
            resume: 'until-error',
            onError: (_, raw) => {
              raws.push(raw)
              return 'stop'
            },
          },
        )

        await expect(subscription.done).rejects.toThrow(failure('handler_failed', 'message'))

        expect(raws).toEqual([{ raw: raw(1), offset: 1, cursor: acks[1]?.cursor }])
        expect(subscription.cursor).toBe(acks[0]?.cursor)
        expect(subscription.state).toBe('stopped')
        await collect(topic, { resume: 'until-error', from: 'start' }).until([1, 2])
      },
    )

    test('an onError that throws counts as a skip', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const errors: MessError[] = []
      mess.on('error', (error) => errors.push(error))
      const seen: number[] = []
      const subscription = topic.subscribe(
        ({ data }) => {
          seen.push(data)
          throw new Error('handler')
        },
        {
          onError: () => {
            throw new Error('onError')
          },
        },
      )
      await subscription.ready

      await topic.publish(1)
      await topic.publish(2)

      await eventually(() => expect(seen).toEqual([1, 2]))
      expect(errors.map(({ cause }) => (cause as Error).message)).toEqual(['onError', 'onError'])
    })
  })

  describe(`schemas (${name})`, () => {
    test('publishing checks, the wire carries what was published, delivery hands out the output', async () => {
      const [one, other] = await pair()
      const name = newTopic()
      const topic = one.topic(name, { schema: countSchema })
      const delivered = collect(other.topic(name, { schema: countSchema }) as never, { from: 'start' })
      await delivered.subscription.ready

      await topic.publish({ count: '7' })

      await delivered.until([{ count: 7 }])
      expect((await other.topic(name).history()).messages.map(({ data }) => data)).toEqual([{ count: '7' }])
      expect((await topic.history()).messages.map(({ data }) => data)).toEqual([{ count: 7 }])
    })

    test('data that does not fit is refused at the call', async () => {
      const topic = (await client()).topic(newTopic(), { schema: countSchema })

      const publish = () => topic.publish({ count: 'seven' })

      expect(publish).toThrow(failure('schema_mismatch', 'message'))
      expect(publish).toThrow(SchemaError)
      expect((await topic.history()).messages).toEqual([])
    })

    test('stored data that does not fit goes to onError with the raw value, and the cursor moves on', async () => {
      const mess = await client()
      const name = newTopic()
      const loose = mess.topic<unknown>(name)
      const acks = await Promise.all(
        [{ count: '1' }, { kount: '2' }, { count: '3' }].map((data) => loose.publish(data)),
      )
      const seen: unknown[] = []
      const faults: unknown[] = []

      const subscription = mess
        .topic(name, { schema: countSchema })
        .subscribe(({ data }) => void seen.push(data.count), {
          from: 'start',
          onError: (error, message) => {
            faults.push(error, message)
            return 'skip'
          },
        })

      await eventually(() => expect(seen).toEqual([1, 3]))
      expect(faults).toEqual([
        expect.any(SchemaError),
        { raw: raw({ kount: '2' }), offset: 1, cursor: acks[1]?.cursor },
      ])
      await eventually(() => expect(subscription.cursor).toBe(acks[2]?.cursor))
    })

    test('a schema that answers later is refused at the call, and on delivery', async () => {
      const mess = await client()
      const name = newTopic()
      await mess.topic<string>(name).publish('stored')
      const topic = mess.topic(name, { schema: laterSchema })

      expect(() => topic.publish('x')).toThrow(failure('async_schema'))

      const errors: MessError[] = []
      topic.subscribe(() => {}, {
        from: 'start',
        onError: (error) => {
          errors.push(error)
          return 'stop'
        },
      })
      await eventually(() => expect(errors).toEqual([failure('async_schema')]))
    })
  })

  describe(`history (${name})`, () => {
    test('reads forwards and backwards, page by page', async () => {
      const topic = (await client()).topic<number>(newTopic())
      const acks = await Promise.all(numbers(25).map((number) => topic.publish(number)))

      const forwards = await pagesOf((from) => topic.history({ limit: 10, ...from }))
      const backwards = await pagesOf((from) => topic.history({ limit: 10, reverse: true, ...from }))

      expect(forwards).toEqual([numbers(10), numbers(10).map((n) => n + 10), numbers(5).map((n) => n + 20)])
      expect(backwards.flat()).toEqual(numbers(25).reverse())
      expect(backwards.map(({ length }) => length)).toEqual([10, 10, 5])
      const behind = await topic.history({ from: acks[19]?.cursor as never })
      expect(behind.messages.map(({ data }) => data)).toEqual([20, 21, 22, 23, 24])
      const before = await topic.history({ from: acks[2]?.cursor as never, reverse: true })
      expect(before.messages.map(({ data }) => data)).toEqual([2, 1, 0])
      expect(before.next).toBeUndefined()
    })

    unsealedTest('a page is no larger than a frame, whatever its limit, and the next one goes on', async () => {
      const topic = (await client()).topic<string>(newTopic())
      const large = (number: number) => `${number} ${'x'.repeat(200_000)}`
      await Promise.all(numbers(12).map((number) => topic.publish(large(number))))
      const read = async (reverse: boolean) => {
        const pages = await pagesOf((from) => topic.history({ limit: 1_000, reverse, ...from }))
        expect(pages.length).toBeGreaterThan(1)
        return pages.flat().map((text) => Number(text.slice(0, 2)))
      }

      expect(await read(false)).toEqual(numbers(12))
      expect(await read(true)).toEqual(numbers(12).reverse())
    })

    test('an empty topic has an empty page', async () => {
      const topic = (await client()).topic<number>(newTopic())

      expect(await topic.history()).toEqual({ messages: [], next: undefined, gap: undefined })
      expect(await topic.history({ reverse: true })).toEqual({ messages: [], next: undefined, gap: undefined })
    })

    test('options that are no good are refused, a signal ends the waiting', async () => {
      const topic = (await client()).topic<number>(newTopic())

      for (const limit of [0, -1, 1.5, 1_001, Number.NaN])
        await expect(topic.history({ limit })).rejects.toThrow(failure('bad_option'))
      await expect(topic.history({ from: 'x' as never })).rejects.toThrow(failure('bad_cursor'))
      await expect(topic.history({ signal: AbortSignal.abort() })).rejects.toThrow('aborted')
    })

    test('as many pages as anybody asks for at once are answered', async () => {
      const topic = (await client()).topic<number>(newTopic())
      await topic.publish(1)

      const pages = await Promise.all(numbers(200).map(() => topic.history()))

      expect(pages.every(({ messages }) => messages[0]?.data === 1)).toBe(true)
    })
  })

  describe(`messages() (${name})`, () => {
    test('gives one message after the other, until it is stopped', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      await Promise.all([0, 1, 2].map((number) => topic.publish(number)))
      const seen: number[] = []

      const messages = topic.messages({ from: 'start' })
      for await (const { data } of messages) {
        seen.push(data)
        if (data === 2) void topic.publish(3)
        if (data === 3) messages.stop()
      }

      expect(seen).toEqual([0, 1, 2, 3])
      expect(messages.state).toBe('stopped')
    })

    test('asking for the next marks the last one as handled, leaving the loop does not', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      await Promise.all([0, 1, 2, 3].map((number) => topic.publish(number)))

      for await (const { data } of topic.messages({ from: 'start', resume: 'loop' })) if (data === 1) break
      const again: number[] = []
      for await (const { data } of topic.messages({ from: 'start', resume: 'loop' })) {
        again.push(data)
        if (data === 3) break
      }

      expect(again).toEqual([1, 2, 3])
    })

    test('gives nothing more after stop(), also what lay ready', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      await topic.publish(0)

      const messages = topic.messages({ from: 'start' })
      await messages.ready
      await topic.history()
      messages.stop()

      expect(await messages.next()).toEqual({ done: true, value: undefined })
    })

    test('answers everybody who asks, also before the last answer', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const messages = topic.messages()
      await messages.ready

      const asked = [messages.next(), messages.next(), messages.next()]
      await Promise.all([0, 1].map((number) => topic.publish(number)))

      expect((await asked[0])?.value.data).toBe(0)
      expect((await asked[1])?.value.data).toBe(1)
      messages.stop()
      expect(await asked[2]).toEqual({ done: true, value: undefined })
    })

    test('a handler error cannot happen, but a schema that does not fit can end it', async () => {
      const mess = await client()
      const name = newTopic()
      await mess.topic<unknown>(name).publish('unfit')

      const messages = mess.topic(name, { schema: countSchema }).messages({ from: 'start', onError: () => 'stop' })

      await expect(messages.next()).rejects.toThrow(SchemaError)
    })
  })

  describe(`retention (${name})`, () => {
    // Each is a row of its own, and rows are what is trimmed.
    const pad = 'x'.repeat(6_000)
    const data = (number: number) => `${number} ${pad}`
    const label = (text: string) => text.replace(` ${pad}`, '')

    async function trimmed(count = 12) {
      const mess = await client({ retention: { messages: 4 } })
      const name = newTopic()
      const topic = mess.topic<string>(name)
      const first = await topic.publish(data(0))
      for (let number = 1; number < count; number++) await topic.publish(data(number))
      return { mess, topic, first: first.cursor as NonNullable<typeof first.cursor> }
    }

    test('what is gone is one gap, in its place', async () => {
      const { topic, first } = await trimmed()

      const collected = collect(topic, { from: first })

      await eventually(() => expect(collected.seen).toHaveLength(5))
      expect(collected.seen.map(label)).toEqual(['gap 1 to 8: retention', '8', '9', '10', '11'])
    })

    test('a gap handler is waited for before the messages behind it', async () => {
      const { topic, first } = await trimmed()
      const log: string[] = []
      const step = Promise.withResolvers<void>()
      topic.subscribe(({ data }) => void log.push(label(data)), {
        from: first,
        onGap: async () => {
          log.push('gap')
          await step.promise
          log.push('done')
        },
      })

      await eventually(() => expect(log).toEqual(['gap']))
      step.resolve()

      await eventually(() => expect(log).toEqual(['gap', 'done', '8', '9', '10', '11']))
    })

    test('without onGap it is an error event, and the messages behind it come', async () => {
      const { mess, topic, first } = await trimmed()
      const errors: MessError[] = []
      mess.on('error', (error) => errors.push(error))
      const seen: string[] = []

      topic.subscribe(({ data }) => void seen.push(label(data)), { from: first })

      await eventually(() => expect(seen).toEqual(['8', '9', '10', '11']))
      expect(errors).toEqual([expect.any(GapError)])
      expect(errors[0]).toMatchObject({ code: 'gap', gap: { from: 1, to: 8, reason: 'retention' } })
    })

    test('messages() throws, unless it is given an onGap', async () => {
      const { topic, first } = await trimmed()

      await expect(topic.messages({ from: first }).next()).rejects.toThrow(GapError)

      const gaps: unknown[] = []
      const messages = topic.messages({ from: first, onGap: (gap) => void gaps.push(gap) })
      expect((await messages.next()).value.offset).toBe(8)
      expect(gaps).toEqual([{ from: 1, to: 8, reason: 'retention' }])
      messages.stop()
    })

    test('a page of history tells it, and begins behind it', async () => {
      const { topic, first } = await trimmed()

      const page = await topic.history({ from: first })

      expect(page.messages.map(({ offset }) => offset)).toEqual([8, 9, 10, 11])
      expect(page.gap).toEqual({ from: 1, to: 8, reason: 'retention' })
      expect((await topic.history()).gap).toBeUndefined()
    })

    test('a cursor of another topic is a gap of another epoch', async () => {
      const { mess, topic, first } = await trimmed()
      const other = mess.topic<string>(newTopic())
      await other.publish('here')

      const collected = collect(other, { from: first })

      await collected.until(['gap 1 to 0: epoch', 'here'])
      const [, message] = [await topic.history(), collected.messages[0]]
      expect(message?.offset).toBe(0)
    })

    test('a slow subscriber that retention overtakes gets one gap and goes on', async () => {
      const mess = await client({ retention: { messages: 4 } })
      const topic = mess.topic<string>(newTopic())
      const seen: string[] = []
      const step = Promise.withResolvers<void>()
      const subscription = topic.subscribe(
        async ({ data }) => {
          seen.push(label(data))
          await step.promise
        },
        { onGap: ({ from, to }) => void seen.push(`gap ${from} to ${to}`) },
      )
      await subscription.ready

      // Far more than one window.
      const count = 600
      for (let number = 0; number < count; number += 20) {
        await Promise.all(numbers(20).map((i) => topic.publish(data(number + i))))
      }
      step.resolve()

      await eventually(() => expect(seen.at(-1)).toBe(String(count - 1)))
      let next = 0
      let gaps = 0
      for (const text of seen) {
        const [, from, to] = /^gap (\d+) to (\d+)$/.exec(text) ?? []
        expect(from ?? text).toBe(String(next))
        next = to === undefined ? next + 1 : Number(to)
        if (to !== undefined) gaps++
      }
      expect(gaps).toBe(1)
    })
  })

  describe(`closing and what can be watched (${name})`, () => {
    test('close() ends everything, and what is asked afterwards says so', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const subscription = topic.subscribe(() => {})
      await topic.publish(1)

      expect(await mess.close()).toEqual({ unsent: 0 })
      expect(await mess.close()).toEqual({ unsent: 0 })

      await subscription.done
      expect(mess.status.connection).toBe('closed')
      expect(() => topic.publish(2)).toThrow(failure('closed'))
      expect(() => mess.topic<number>(newTopic()).publish(2)).toThrow(failure('closed'))
      await expect(topic.history()).rejects.toThrow(failure('closed'))
      expect(() => topic.subscribe(() => {})).toThrow(failure('closed'))
      expect(() => topic.messages()).toThrow(failure('closed'))
    })

    test('messages that were received can still be read after close()', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const collected = collect(topic, { from: 'start' })
      await topic.publish(1)
      await eventually(() => expect(collected.messages).toHaveLength(1))

      await mess.close()

      expect(collected.messages[0]).toMatchObject({ own: true, offset: 0 })
    })

    test('a signal, and the end of an `await using` block, close it', async () => {
      const controller = new AbortController()
      const bySignal = await client({ signal: controller.signal })
      const byBlock = await client()

      controller.abort()
      {
        await using mess = byBlock
        await mess.topic<number>(newTopic()).publish(1)
      }

      expect([bySignal.status.connection, byBlock.status.connection]).toEqual(['closed', 'closed'])
    })

    unsealedTest('status events tell how much is unsent, and a listener can be removed', async () => {
      const mess = await client()
      const unsent: number[] = []
      const off = mess.on('status', (status) => unsent.push(status.unsent))
      expect(mess.status).toMatchObject({ storage: 'memory', role: 'alone', unsent: 0, refused: 0 })

      const receipt = mess.topic<number>(newTopic()).publish(1)
      expect(mess.status.unsent).toBe(1)
      await receipt
      await eventually(() => expect(unsent.at(-1)).toBe(0))
      off()
      const { length } = unsent
      await mess.topic<number>(newTopic()).publish(1)

      expect(unsent).toHaveLength(length)
    })

    test('a listener that throws harms nobody else', async () => {
      const mess = await client()
      const topic = mess.topic<number>(newTopic())
      const thrown = uncaught()
      const heard: string[] = []
      mess.on('status', () => {
        throw new Error('status')
      })
      mess.on('error', () => {
        throw new Error('error')
      })
      mess.on('error', ({ code }) => heard.push(code))
      const collected: number[] = []
      const subscription = topic.subscribe(({ data }) => {
        collected.push(data)
        throw new Error('handler')
      })
      await subscription.ready

      await topic.publish(1)
      await topic.publish(2)

      await eventually(() => expect(collected).toEqual([1, 2]))
      expect(heard).toEqual(['handler_failed', 'handler_failed'])
      await mess.close()
      await new Promise(setImmediate) // the last status is told behind it
      expect(new Set(thrown)).toEqual(new Set(['status', 'error']))
    })

    test('an outbox that has nothing refused has nothing to retry or discard', async () => {
      const mess = await client()
      const { outbox } = mess
      await mess.topic<number>(newTopic()).publish(1)

      expect(await outbox.list()).toEqual([] satisfies OutboxEntry[])
      await expect((async () => outbox.retry('x'))()).rejects.toThrow(failure('bad_option'))
      expect(await outbox.discard('x')).toBe(false)
    })
  })

  describe(`much at once (${name})`, () => {
    test(`${messageCount.toLocaleString('en')} messages arrive once, in order, at everybody`, {
      timeout: 120_000,
    }, async () => {
      const [one, other] = await pair()
      const name = newTopic()
      const topic = one.topic<number>(name)
      const arrivals = [other, other].map((mess) => countUp(mess, name, messageCount))
      await Promise.all(arrivals.map(({ ready }) => ready))

      let unacked: Promise<unknown>[] = []
      for (let number = 0; number < messageCount; number++) {
        unacked.push(topic.publish(number))
        if (unacked.length === 5_000) {
          await Promise.all(unacked)
          unacked = []
        }
      }
      const acks = await Promise.all(unacked)

      expect(await Promise.all(arrivals.map(({ wrong }) => wrong))).toEqual([undefined, undefined])
      if (acks.length > 0) expect(acks.at(-1)).toMatchObject({ offset: messageCount - 1 })
    })

    test(`${topicCount} topics at once do not mix`, { timeout: 60_000 }, async () => {
      const [one, other] = await pair()
      const names = Array.from({ length: topicCount }, newTopic)
      const all = names.map((name) => collect(other.topic<string>(name)))
      await Promise.all(all.map(({ subscription }) => subscription.ready))

      await Promise.all(
        numbers(5).flatMap((number) => names.map((name) => one.topic<string>(name).publish(`${name} ${number}`))),
      )

      for (const [i, { until }] of all.entries()) await until(numbers(5).map((number) => `${names[i]} ${number}`))
    })

    test('two clients in one process share nothing but what the server shares', async () => {
      const [one, other] = [await client(), await client()]
      const name = newTopic()
      const receipts = await Promise.all([one.topic<number>(name).publish(1), one.topic<number>(name).publish(2)])

      await one.close()
      const receipt = other.topic<number>(name).publish(3)
      const { offset } = await receipt

      expect(receipts.map(({ duplicate }) => duplicate)).toEqual([false, false])
      expect([0, 2]).toContain(offset)
      expect(other.status.connection).not.toBe('closed')
    })
  })
}

/** A value that equals a failure of ours with this code. */
export function failure(code: string, scope?: string): MessError {
  const facts = scope === undefined ? { code } : { code, scope }
  return expect.toSatisfy((error: unknown) => {
    expect(error).toBeInstanceOf(MessError)
    expect(error).toMatchObject({ ...facts, retryable: expect.any(Boolean) })
    expect((error as MessError).message).not.toBe('')
    return true
  })
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

function cycle(): unknown {
  const value: Record<string, unknown> = {}
  value.self = value
  return value
}

function nested(levels: number): unknown {
  let value: unknown = []
  for (let level = 1; level < levels; level++) value = [value]
  return value
}

async function pagesOf<T>(ask: (from: object) => Promise<Page<T>>): Promise<T[][]> {
  const pages: T[][] = []
  let from = {}
  for (;;) {
    const { messages, next } = await ask(from)
    pages.push(messages.map(({ data }) => data))
    if (next === undefined) return pages
    from = { from: next }
  }
}

/** Subscribes and counts along. `wrong` is the first message that was not the next one, once all have come. */
function countUp(
  mess: Mess,
  name: string,
  count: number,
): { ready: Promise<unknown>; wrong: Promise<number | undefined> } {
  let next = 0
  let wrong: number | undefined
  const all = Promise.withResolvers<number | undefined>()
  const subscription = mess.topic<number>(name).subscribe(({ data, offset }) => {
    if (data !== next || offset !== next) wrong ??= data
    if (++next === count) all.resolve(wrong)
  })
  onTestFinished(() => subscription.stop())
  return { ready: subscription.ready, wrong: all.promise }
}

/** Messages of errors that nobody caught; they would end a process. */
function uncaught(): string[] {
  const messages: string[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => messages.push(error.message))
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
  return messages
}
