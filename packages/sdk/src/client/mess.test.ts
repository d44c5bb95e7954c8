import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createMess } from './create.ts'
import type { MessError } from './errors.ts'
import type { Mess } from './mess.ts'
import type { Message } from './message.ts'
import { Tokens } from './token.ts'

let mess: Mess
let errors: MessError[]
beforeEach(() => {
  mess = createMess()
  errors = []
  mess.on('error', (error) => errors.push(error))
})
afterEach(() => mess.close())

describe('resuming', () => {
  it('goes on where it began if nothing came before it stopped', async () => {
    const topic = mess.topic<string>('resume')
    const first = topic.subscribe(() => {}, { resume: 'main' })
    await first.ready
    first.stop()
    await topic.publish('while away')

    const seen: string[] = []
    const second = topic.subscribe(({ data }) => void seen.push(data), { resume: 'main' })
    await second.ready
    await topic.publish('after')

    expect(seen).toEqual(['while away', 'after'])
  })
})

describe('a message', () => {
  it('is what it was when it was published', async () => {
    const topic = mess.topic<{ n: number }>('early')
    const data = { n: 1 }

    const receipt = topic.publish(data)
    data.n = 2

    await receipt
    const { messages } = await topic.history()
    expect(messages.map(({ data }) => data)).toEqual([{ n: 1 }])
  })

  it('is plain data, which can be copied and compared', async () => {
    const topic = mess.topic<string>('plain')
    const seen: Message<string>[] = []
    await topic.subscribe((message) => void seen.push(message)).ready
    const receipt = topic.publish('hello', { key: 'k' })
    const { cursor } = await receipt

    expect({ ...seen[0] }).toEqual({
      data: 'hello',
      id: receipt.id,
      offset: 0,
      cursor,
      key: 'k',
      at: expect.any(Date),
      own: true,
    })
    expect(structuredClone(seen[0])).toEqual(seen[0])
  })
})

describe('status', () => {
  it('is told with each message that begins to wait', async () => {
    const offline = createMess({ url: 'http://127.0.0.1:9/' })
    const heard: number[] = []
    offline.on('status', ({ unsent }) => heard.push(unsent))
    offline.topic('status').publish(1)
    await vi.waitFor(() => expect(heard).toContain(1))

    offline.topic('status').publish(2)
    // Before anything can come from outside.
    await Promise.resolve().then(() => {})

    expect(heard).toContain(2)
    await offline.close()
  })
})

describe('history', () => {
  it('leaves out what does not fit the schema, and says so', async () => {
    const raw = mess.topic<unknown>('history')
    for (const data of [1, 'two', 3]) await raw.publish(data)
    const validate = (value: unknown) =>
      typeof value === 'number' ? { value } : { issues: [{ message: 'no number' }] }
    const numbers = mess.topic<number>('history', { schema: { '~standard': { version: 1, vendor: 'test', validate } } })

    const { messages } = await numbers.history()

    expect(messages.map(({ data }) => data)).toEqual([1, 3])
    expect(errors.map(({ code }) => code)).toEqual(['schema_mismatch'])
  })
})

describe('an error that nobody listens for', () => {
  it('is complained about', async () => {
    const complained = vi.spyOn(console, 'error').mockImplementation(() => {})
    await using quiet = createMess()
    const topic = quiet.topic<string>('complaint')
    await topic.subscribe(() => {
      throw new Error('the handler is broken')
    }).ready

    await topic.publish('hello')

    expect(complained).toHaveBeenCalledWith(expect.objectContaining({ code: 'handler_failed' }))
    complained.mockRestore()
  })
})

describe('a token callback', () => {
  it('that never answers is given up, and asked again the next time', async () => {
    vi.useFakeTimers()
    try {
      const failed = vi.fn()
      const tokens = new Tokens(
        ({ why }) => (why === 'first' ? new Promise<string>(() => {}) : 'a token'),
        () => {},
        failed,
      )
      const asked = tokens.get('first')
      const refused = expect(asked).rejects.toThrow('in time')

      await vi.advanceTimersByTimeAsync(30_000)

      await refused
      expect(failed).toHaveBeenCalledOnce()
      expect(await tokens.get('refused')).toBe('a token')
    } finally {
      vi.useRealTimers()
    }
  })

  it('that answers with another token lets those try again that were refused; the same one at hand does not', async () => {
    const renewed = vi.fn()
    let count = 0
    const tokens = new Tokens(
      () => `token ${++count}`,
      renewed,
      () => {},
    )

    await tokens.get('first')
    await tokens.get('first')
    await tokens.get('refused', 'an older one')
    const times = renewed.mock.calls.length
    await tokens.get('expiring', 'token 1')

    expect(times).toBe(1)
    expect(renewed).toHaveBeenCalledTimes(2)
  })
})
