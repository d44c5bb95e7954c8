import type { Mess, MessError, RawMessage, SubscribeOptions, Topic, TopicOptions } from '@messkit/sdk'
import { type AesGcmOptions, type AesKey, aesGcm, type Cipher, endToEnd } from '@messkit/sdk/cipher'
import { LIMITS } from '@messkit/sdk/protocol'
import { describe, expect, onTestFinished, test } from 'vitest'
import { plainBytes, replayIds } from '../../packages/sdk/src/cipher/bounds.ts'
import { collect } from '../support/collect.ts'
import { eventually } from '../support/eventually.ts'
import { countSchema } from './schemas.ts'

/** Where topics live, and two clients that see the same ones; `ana` is the user of the first. */
export interface SealedPlace {
  readonly name: string
  pair(): Promise<readonly [Mess, Mess]>
}

type Raw = [mark: string, keyId: string, sealed: string]

const fill = (byte: number) => new Uint8Array(32).fill(byte)
const KEYS = new Map([
  ['k1', fill(1)],
  ['k2', fill(2)],
])

const keyring = (options: Partial<AesGcmOptions> = {}) => aesGcm({ keys: KEYS, current: 'k1', ...options })

/** What end-to-end encryption promises wherever topics live. */
export function sealed({ name, pair }: SealedPlace): void {
  let lastTopic = 0
  const newTopic = () => `sealed/${name.replaceAll(' ', '-')}-${++lastTopic}`

  /** One publishes sealed, and a home that is not to be trusted writes what it likes. */
  const stage = async (options: TopicOptions<unknown, unknown> = { cipher: endToEnd(keyring()) }) => {
    const [one, other] = await pair()
    const topic = newTopic()
    return { one, other, topic: one.topic<unknown>(topic, options), plain: other.topic<unknown>(topic) }
  }

  const stored = async (plain: Topic<unknown>): Promise<Raw[]> =>
    (await plain.history()).messages.map(({ data }) => data as Raw)

  describe(`sealed messages (${name})`, () => {
    test('are opened by who has the key, and say in whose name they were sealed', async () => {
      const { other, topic, plain } = await stage()
      const read = collect(other.topic<unknown>(topic.name, { cipher: endToEnd(keyring()) }))
      await read.subscription.ready
      const all = [{ text: 'Grüße 👋' }, 'text', 1, null, [[]]]

      const receipts = all.map((data, i) => topic.publish(data, { key: `key ${i}` }))
      const acks = await Promise.all(receipts)

      await read.until(all)
      expect(read.messages.map(({ id, key, by, offset, cursor }) => ({ id, key, by, offset, cursor }))).toEqual(
        receipts.map(({ id }, i) => ({ id, key: `key ${i}`, by: 'ana', offset: i, cursor: acks[i]?.cursor })),
      )
      expect((await topic.history()).messages.map(({ data }) => data)).toEqual(all)
      for (const raw of await stored(plain)) expect(raw).toEqual(['sealed.1', 'k1', expect.any(String)])
    })

    test('have a receipt at once, and keep the order in which they were published, whatever their size', async () => {
      const { topic } = await stage()
      const read = collect(topic)
      await read.subscription.ready
      const all = Array.from({ length: 1_500 }, (_, i) => `${i} ${'x'.repeat(i % 100 === 0 ? 20_000 : i % 7)}`)

      const receipts = all.map((data) => topic.publish(data))
      const ids = receipts.map(({ id }) => id)
      const acks = await Promise.all(receipts)

      expect(new Set(ids).size).toBe(all.length)
      expect(receipts[0]).toBeInstanceOf(Promise)
      expect(await receipts[0]?.stored).toEqual({ durability: 'memory' })
      expect(acks.map(({ offset }) => offset)).toEqual(all.map((_, i) => i))
      await read.until(all)
    })

    test('share their order over all handles on a topic', async () => {
      const { one, topic } = await stage()
      const handles = [topic, one.topic<unknown>(topic.name, { cipher: endToEnd(keyring({ current: 'k2' })) })] as const

      await Promise.all(Array.from({ length: 40 }, (_, i) => handles[(i % 2) as 0 | 1].publish(i)))

      expect((await topic.history()).messages.map(({ data }) => data)).toEqual(Array.from({ length: 40 }, (_, i) => i))
    })

    test('one that cannot be sealed rejects its receipt, and holds up nobody', async () => {
      const good = keyring()
      const fails: Cipher = {
        keyId: 'k1',
        seal: (plain, binding) =>
          new TextDecoder().decode(plain).includes('"bad"')
            ? Promise.reject(new Error('no'))
            : good.seal(plain, binding),
        open: good.open,
      }
      const { one, topic } = await stage({ cipher: endToEnd(fails) })
      const errors: MessError[] = []
      one.on('error', (error) => void errors.push(error))

      const receipts = ['a', 'bad', 'b', 'bad', 'c'].map((data) => topic.publish(data))
      const fates = await Promise.allSettled(receipts)

      expect(fates.map((fate) => (fate.status === 'fulfilled' ? fate.value.offset : fate.reason.code))).toEqual([
        0,
        'cipher_failed',
        1,
        'cipher_failed',
        2,
      ])
      await expect(receipts[1]?.stored).rejects.toMatchObject({ code: 'cipher_failed', scope: 'message' })
      expect(errors.map(({ code }) => code)).toEqual(['cipher_failed', 'cipher_failed'])
      expect((await topic.history()).messages.map(({ data, id }) => [data, id])).toEqual([
        ['a', receipts[0]?.id],
        ['b', receipts[2]?.id],
        ['c', receipts[4]?.id],
      ])
    })

    test('are stored before a client closes that has published them', async () => {
      const { one, other, topic } = await stage()

      const receipts = [1, 2, 3].map((data) => topic.publish(data))
      await one.close({ waitMs: 20_000 })

      expect((await Promise.all(receipts)).map(({ offset }) => offset)).toEqual([0, 1, 2])
      const read = other === one ? undefined : other.topic(topic.name, { cipher: endToEnd(keyring()) })
      if (read) expect((await read.history()).messages.map(({ data }) => data)).toEqual([1, 2, 3])
      expect(() => topic.publish(4)).toThrow(expect.objectContaining({ code: 'closed' }))
    })

    test('go through the schema before they are sealed, and after they are opened', async () => {
      const cipher = endToEnd(keyring())
      const [one, other] = await pair()
      const topic = one.topic<{ count: string }, { count: number }>(newTopic(), { cipher, schema: countSchema })
      const read = errorsOf(topic)
      await read.subscription.ready

      expect(() => topic.publish({ count: 'many' })).toThrow(expect.objectContaining({ code: 'schema_mismatch' }))
      await topic.publish({ count: '12' })
      await other.topic<unknown>(topic.name, { cipher }).publish({ count: 'none' })

      await eventually(() => expect(read.seen).toEqual([{ count: 12 }, 'schema_mismatch']))
    })

    test('may have plainBytes, and say at the call when they are larger', async () => {
      const { topic } = await stage()
      const beside = new TextEncoder().encode(JSON.stringify(['x'.repeat(20), 'ana', ''])).length

      const largest = 'ä'.repeat(Math.floor((plainBytes - beside) / 2))
      await topic.publish(largest)

      expect((await topic.history()).messages[0]?.data).toBe(largest)
      expect(() => topic.publish(`${largest}ää`)).toThrow(expect.objectContaining({ code: 'message_too_large' }))
    })

    test('come through the iterator', async () => {
      const { topic, plain } = await stage()
      await topic.publish('first')
      await plain.publish('not sealed')
      await topic.publish('second')
      const messages = topic.messages({ from: 'start' })

      expect((await messages.next()).value?.data).toBe('first')
      expect((await messages.next()).value?.data).toBe('second')
      await messages.return?.()
    })

    test('are not opened ahead of a slow handler by more than the credit', { timeout: 60_000 }, async () => {
      const good = keyring()
      let bytes = 0
      const counts: Cipher = {
        keyId: 'k1',
        seal: good.seal,
        open(sealed, binding) {
          bytes += sealed.length
          return good.open(sealed, binding)
        },
      }
      const { topic } = await stage({ cipher: endToEnd(counts) })
      const count = 600
      await Promise.all(Array.from({ length: count }, (_, i) => topic.publish(`${i} ${'x'.repeat(10_000)}`)))
      const go = Promise.withResolvers<void>()
      const seen: number[] = []
      const subscription = topic.subscribe(
        async ({ data }) => {
          await go.promise
          seen.push(Number.parseInt(data as string, 10))
        },
        { from: 'start' },
      )
      onTestFinished(() => subscription.stop())
      await subscription.ready
      await topic.publish('1 more')
      // An answer on the same link: what was sent before it has been received.
      await topic.history({ limit: 1 })

      expect(bytes).toBeGreaterThan(0)
      expect(bytes).toBeLessThan(LIMITS.creditBytes + LIMITS.frameBytes)

      go.resolve()
      await eventually(() => expect(seen).toEqual([...Array.from({ length: count }, (_, i) => i), 1]))
    })
  })

  describe(`keys (${name})`, () => {
    test('may rotate: old messages open with the old key, new ones are sealed with the new one', async () => {
      const writer = keyring()
      const { other, topic, plain } = await stage({ cipher: endToEnd(writer) })
      await topic.publish('old')
      writer.keyId = 'k2'
      await topic.publish('new')

      const both = other.topic(topic.name, { cipher: endToEnd(keyring()) })
      const late = errorsOf(other.topic(topic.name, { cipher: endToEnd(keyring({ keys: without('k1') })) }), {
        from: 'start',
      })

      expect((await stored(plain)).map(([, keyId]) => keyId)).toEqual(['k1', 'k2'])
      expect((await both.history()).messages.map(({ data }) => data)).toEqual(['old', 'new'])
      await eventually(() => expect(late.seen).toEqual(['cipher_unknown_key', 'new']))
      expect(late.errors[0]?.raw).toEqual((await stored(plain))[0])
      expect(late.errors[0]?.offset).toBe(0)
      await eventually(() => expect(late.subscription.cursor).toMatch(/2$/))
    })

    test('may come and go while a subscription runs', async () => {
      const keys = without('k1', 'k2')
      const { other, topic } = await stage()
      const read = errorsOf(other.topic(topic.name, { cipher: endToEnd(keyring({ keys })) }))
      await read.subscription.ready

      await topic.publish('before')
      await eventually(() => expect(read.seen).toEqual(['cipher_unknown_key']))
      keys.set('k1', fill(1))
      await topic.publish('with the key')
      await eventually(() => expect(read.seen).toEqual(['cipher_unknown_key', 'with the key']))
      keys.delete('k1')
      await topic.publish('without it again')

      await eventually(() => expect(read.seen.at(-1)).toBe('cipher_unknown_key'))
    })

    test.each([
      ['raw bytes', (key: AesKey) => key, {}],
      ['a key of WebCrypto', (key: AesKey) => imported(key, 'AES-GCM', ['encrypt', 'decrypt']), {}],
      ['a key for each topic', (key: AesKey) => key, { perTopic: true }],
      ['a key of WebCrypto for each topic', (key: AesKey) => imported(key, 'HKDF', ['deriveKey']), { perTopic: true }],
    ])('may be %s', async (_, make, options) => {
      const key = await make(crypto.getRandomValues(new Uint8Array(32)))
      const cipher = () => endToEnd(aesGcm({ keys: new Map([['k', key]]), current: 'k', ...options }))
      const { other, topic } = await stage({ cipher: cipher() })

      await topic.publish('hello')

      const { messages } = await other.topic(topic.name, { cipher: cipher() }).history()
      expect(messages.map(({ data }) => data)).toEqual(['hello'])
    })

    test('that are no keys, or not there, or used up, seal nothing', async () => {
      const codeOf = async (options: Partial<AesGcmOptions>) => {
        const { topic } = await stage({ cipher: endToEnd(keyring(options)) })
        return topic.publish('hello').then(
          () => 'acked',
          (error: MessError) => error.code,
        )
      }

      expect(await codeOf({ keys: new Map([['k1', new Uint8Array(16)]]) })).toBe('bad_option')
      expect(await codeOf({ current: 'k3' })).toBe('cipher_unknown_key')
      expect(await codeOf({ messagesPerKey: 0 })).toBe('cipher_exhausted')
      expect(await codeOf({ messagesPerKey: 1 })).toBe('acked')
    })

    test('derived for a topic are of no use in another one, nor as they are', async () => {
      const { other, topic } = await stage({ cipher: endToEnd(keyring({ perTopic: true })) })
      await topic.publish('hello')

      const read = errorsOf(other.topic(topic.name, { cipher: endToEnd(keyring()) }), { from: 'start' })

      await eventually(() => expect(read.seen).toEqual(['cipher_failed']))
    })
  })

  describe(`a home that is not to be trusted (${name})`, () => {
    /** What a home has put behind one sealed message, and what a reader from the start makes of all of it. */
    const meddle = async (change: (raw: Raw) => unknown[], options: TopicOptions<unknown, unknown> = {}) => {
      const cipher = endToEnd(keyring())
      const { other, topic, plain } = await stage({ cipher, ...options })
      await topic.publish('genuine')
      const [raw] = (await stored(plain)) as [Raw]
      const forged = change(raw)
      await Promise.all(forged.map((data) => plain.publish(data)))
      await topic.publish('after')
      const read = errorsOf(other.topic(topic.name, { cipher }), { from: 'start' })
      await eventually(() => expect(read.seen).toHaveLength(forged.length + 2))
      return { ...read, raw, forged }
    }

    test('cannot change any part of a message', { timeout: 60_000 }, async () => {
      const all: unknown[] = []

      const { seen, errors, forged } = await meddle((raw) => {
        raw.forEach((part, i) => {
          for (let at = 0; at < part.length; at++) {
            const other = part[at] === 'A' ? 'B' : 'A'
            all.push(raw.with(i, part.slice(0, at) + other + part.slice(at + 1)))
          }
        })
        return all
      })

      expect(seen.at(0)).toBe('genuine')
      expect(seen.at(-1)).toBe('after')
      expect(new Set(seen.slice(1, -1))).toEqual(new Set(['cipher_plaintext', 'cipher_unknown_key', 'cipher_failed']))
      expect(errors.map(({ raw }) => raw)).toEqual(forged)
    })

    test('cannot shorten, extend, or make up a message', async () => {
      const { seen } = await meddle(([mark, keyId, text]) => [
        [mark, keyId, text.slice(0, -4)],
        [mark, keyId, `${text}AAAA`],
        [mark, keyId, ` ${text}`],
        [mark, keyId, ''],
        [mark, keyId, 'no base64!'],
        [mark, keyId, text, 'more'],
        [mark, keyId, text, null],
        [mark, 7, text],
        [mark, [keyId], text],
        [mark, keyId, 7],
        [mark, keyId],
        [mark, null, text],
        [mark, '__proto__', text],
        [mark],
      ])

      expect(seen.slice(1, -1).filter((one) => one !== 'cipher_failed' && one !== 'cipher_unknown_key')).toEqual([])
    })

    test("cannot pass off a message as another key's", async () => {
      const { seen } = await meddle(([mark, , text]) => [[mark, 'k2', text]])

      expect(seen).toEqual(['genuine', 'cipher_failed', 'after'])
    })

    test('cannot read or write with another key under the same id', async () => {
      const { other, topic } = await stage()
      await topic.publish('hello')
      const wrong = endToEnd(keyring({ keys: new Map([['k1', fill(9)]]) }))

      const read = errorsOf(other.topic(topic.name, { cipher: wrong }), { from: 'start' })
      await other.topic<unknown>(topic.name, { cipher: wrong }).publish('forged')

      await eventually(() => expect(read.seen).toEqual(['cipher_failed', 'forged']))
      expect((await topic.history()).messages.map(({ data }) => data)).toEqual(['hello'])
    })

    test('cannot move a message to another topic, or give it another key', async () => {
      const cipher = endToEnd(keyring())
      const { other, topic, plain } = await stage({ cipher })
      await topic.publish('hello', { key: 'a' })
      const [raw] = (await stored(plain)) as [Raw]
      const elsewhere = newTopic()
      await other.topic<unknown>(elsewhere).publish(raw, { key: 'a' })
      await plain.publish(raw, { key: 'b' })
      await plain.publish(raw)

      const moved = errorsOf(other.topic(elsewhere, { cipher }), { from: 'start' })
      const renamed = errorsOf(other.topic(topic.name, { cipher }), { from: 'start' })

      await eventually(() => expect(moved.seen).toEqual(['cipher_failed']))
      await eventually(() => expect(renamed.seen).toEqual(['hello', 'cipher_failed', 'cipher_failed']))
    })

    test('cannot say that somebody else has published it', async () => {
      const cipher = endToEnd(keyring())
      const { other, topic, plain } = await stage({ cipher })
      const { cursor } = await topic.publish('mine')
      const [raw] = (await stored(plain)) as [Raw]
      // By another publisher, and perhaps another user.
      await plain.publish(raw)

      const read = collect(other.topic(topic.name, { cipher }), { from: cursor as NonNullable<typeof cursor> })

      await read.until(['mine'])
      expect(read.messages[0]?.by).toBe('ana')
    })

    test('nor can one who has the key make an id or a name that is none', async () => {
      const good = keyring()
      const odd = new TextEncoder().encode('[{"a":1},{"b":2},"odd"]')
      const cipher: Cipher = { ...good, seal: (_, binding) => good.seal(odd, binding) }
      const { topic } = await stage({ cipher: endToEnd(cipher) })
      await topic.publish('hello')
      await topic.publish('hello')

      const { messages } = await topic.history()

      expect(messages.map(({ data, by }) => [data, typeof by])).toEqual([['odd', 'string']])
    })

    test('cannot deliver a message twice: at another offset it is a replay', async () => {
      const { seen, errors, raw } = await meddle((raw) => [raw, raw])

      expect(seen).toEqual(['genuine', 'cipher_replayed', 'cipher_replayed', 'after'])
      expect(errors.map(({ raw, offset }) => ({ raw, offset }))).toEqual([
        { raw, offset: 1 },
        { raw, offset: 2 },
      ])
    })

    test('a page of history, forwards or backwards, has a replayed message once: where it came first', async () => {
      const cipher = endToEnd(keyring())
      const { topic, plain } = await stage({ cipher })
      await topic.publish('hello')
      const [raw] = (await stored(plain)) as [Raw]
      await plain.publish(raw)

      for (const reverse of [false, true])
        expect((await topic.history({ reverse })).messages.map(({ offset }) => offset)).toEqual([0])
    })

    test('the same message read again at the same offset is no replay', async () => {
      const { topic } = await stage()
      const collected = collect(topic, { from: 'start' })
      await topic.publish('one')
      await topic.publish('two')
      await collected.until(['one', 'two'])

      const again = collect(topic, { from: 'start' })
      await again.until(['one', 'two'])
      for (let i = 0; i < 2; i++) expect((await topic.history()).messages).toHaveLength(2)
    })

    test('a handler that wants a message again gets it again', async () => {
      const { topic } = await stage()
      let tries = 0
      const subscription = topic.subscribe(
        () => {
          if (++tries < 3) throw new Error('not yet')
        },
        { from: 'start', onError: () => ({ retryInMs: 1 }) },
      )
      onTestFinished(() => subscription.stop())

      const { cursor } = await topic.publish('hello')

      await eventually(() => expect(subscription.cursor).toBe(cursor))
      expect(tries).toBe(3)
    })

    test('a replay is known among the newest replayIds messages that were read', { timeout: 60_000 }, async () => {
      const cipher = endToEnd(keyring())
      const { topic, plain } = await stage({ cipher })
      await topic.publish(0)
      const [raw] = (await stored(plain)) as [Raw]
      await Promise.all(Array.from({ length: replayIds - 1 }, (_, i) => topic.publish(i + 1)))
      await plain.publish(raw)
      await topic.publish('one more')
      await plain.publish(raw)

      const read = errorsOf(topic, { from: 'start' })

      await eventually(() =>
        expect(read.seen.slice(replayIds - 1)).toEqual([replayIds - 1, 'cipher_replayed', 'one more', 0]),
      )
    })

    test('cannot slip in what was not sealed', async () => {
      const { seen, errors } = await meddle(() => ['hello', { text: 'hello' }, null, 7, ['sealed.2', 'k1', 'AAAA']])

      expect(seen).toEqual(['genuine', ...Array(5).fill('cipher_plaintext'), 'after'])
      expect(errors.map(({ raw }) => raw)).toEqual(['hello', { text: 'hello' }, null, 7, ['sealed.2', 'k1', 'AAAA']])
    })

    test('what was not sealed is let through where that is asked for, and what is published is sealed', async () => {
      const { topic, plain } = await stage({ cipher: endToEnd(keyring(), { allowPlaintext: true }) })
      await plain.publish('from before')
      const read = collect(topic, { from: 'start' })

      await topic.publish('sealed')

      await read.until(['from before', 'sealed'])
      expect(read.messages.map(({ by }) => by)).toEqual([undefined, 'ana'])
      expect((await stored(plain))[1]).toEqual(['sealed.1', 'k1', expect.any(String)])
    })

    test('without onError each refusal is an error event, and the position moves on', async () => {
      const { one, topic, plain } = await stage()
      const errors: MessError[] = []
      one.on('error', (error) => void errors.push(error))
      const collected = collect(topic, { from: 'start' })
      await plain.publish('not sealed')
      const { cursor } = await topic.publish('sealed')

      await collected.until(['sealed'])
      await eventually(() => expect(collected.subscription.cursor).toBe(cursor))
      expect(errors.map(({ code, scope }) => [code, scope])).toEqual([['cipher_plaintext', 'message']])
    })
  })
}

const without = (...ids: string[]): Map<string, AesKey> => new Map([...KEYS].filter(([id]) => !ids.includes(id)))

const imported = (key: AesKey, name: string, uses: KeyUsage[]): Promise<CryptoKey> =>
  crypto.subtle.importKey('raw', key as Uint8Array<ArrayBuffer>, name, false, uses)

/** What a subscription brought, in order: data, or the code of the error. */
function errorsOf<I, O>(topic: Topic<I, O>, options: SubscribeOptions = {}) {
  const seen: unknown[] = []
  const errors: RawMessage[] = []
  const subscription = topic.subscribe(({ data }) => void seen.push(data), {
    ...options,
    onError(error, message) {
      seen.push(error.code)
      errors.push(message)
      return 'skip'
    },
  })
  onTestFinished(() => subscription.stop())
  return { seen, errors, subscription }
}
