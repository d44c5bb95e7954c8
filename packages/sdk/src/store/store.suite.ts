import { describe, expect, it } from 'vitest'
import { type Chunk, type Commit, type LogStore, type Maybe, StoreConflict } from './store.ts'

/** What a test needs to know of a kind of store. The behaviour suite of homes takes the same. */
export interface Stores {
  /** The store of a new, empty log. */
  make(): Maybe<LogStore>
  /** Another store over the same log, as after a restart or in another tab. The first one may still be in use. */
  reopen(store: LogStore): Maybe<LogStore>
  /** Runs each test where stores live, for instance inside a Durable Object. */
  within?(test: () => Promise<void>): Promise<void>
}

const EPOCH = '0mi8zq4k0abcdefg'
const OTHER_EPOCH = '0mi8zq4k1abcdefg'
const INDEX = -1
const EVERYTHING = 1e9

/** The contract of `LogStore`: what a broker relies on, whatever keeps the rows. */
export function storeSuite(name: string, { make, reopen, within = (test) => test() }: Stores): void {
  const promise = (sentence: string, test: (store: LogStore) => Promise<void>) =>
    it(sentence, () =>
      within(async () => {
        const store = await make()
        await store.load(EPOCH)
        await test(store)
      }),
    )

  describe(`${name}: a store of a log`, () => {
    describe('that is new', () => {
      promise('is empty', async (store) => {
        expect(await store.load(OTHER_EPOCH)).toEqual({ epoch: EPOCH, checkpoint: [], heads: [], tail: undefined })
        expect(await store.read(0, EVERYTHING)).toEqual([])
        expect(await store.readBefore(EVERYTHING, EVERYTHING)).toEqual([])
      })

      promise('keeps the name it was given first', async (store) => {
        await store.durable()

        const { epoch } = await (await reopen(store)).load(OTHER_EPOCH)

        expect(epoch).toBe(EPOCH)
      })

      promise('takes its first commit at offset 0 and at no other', async (store) => {
        await expectConflict(store, { ...at(7), append: rows([1], { first: 7 }) })

        await store.commit({ ...at(0), append: rows([1]) })

        expect(await store.read(0, EVERYTHING)).toHaveLength(1)
      })
    })

    describe('appending', () => {
      promise('gives back every field as it was', async (store) => {
        const appended = rows([3, 1, 2])

        await store.commit({ ...at(0), append: appended })

        expect(await store.read(0, EVERYTHING)).toEqual(appended)
        expect((await store.load('')).tail).toEqual(appended[2])
      })

      promise('makes the last row longer in place', async (store) => {
        const [first, last] = rows([2, 1]) as [Chunk, Chunk]
        await store.commit({ ...at(0), append: [first, last] })
        const longer = {
          ...last,
          next: 6,
          size: 400,
          runs: `${last.runs},["p0000002",1,3,9]`,
          users: '["","bob"]',
          body: '1,\n2,\n3,\n4',
        }

        await store.commit({ ...at(3), replaceTail: longer, append: [] })

        expect(await store.read(0, EVERYTHING)).toEqual([first, longer])
        expect((await store.load('')).tail).toEqual(longer)
      })

      promise('refuses to make a row longer that is not there', async (store) => {
        const [row] = rows([2])
        const index = checkpointOf(2)
        await store.commit({ ...at(0), append: [row as Chunk], ...index, trimBelow: 2 })

        await expectConflict(store, { ...at(2), replaceTail: { ...(row as Chunk), next: 3 }, append: [] })

        expect(await store.read(0, EVERYTHING)).toEqual([])
      })

      promise('takes a commit that appends nothing', async (store) => {
        await store.commit({ ...at(0), append: [] })

        expect(await store.read(0, EVERYTHING)).toEqual([])
      })
    })

    describe('reading on', () => {
      promise('begins with the row that reaches beyond the offset', async (store) => {
        await store.commit({ ...at(0), append: rows([3, 3, 3]) })

        const firsts = await Promise.all(
          [0, 2, 3, 5, 6, 8, 9, 99].map(async (from) => (await store.read(from, EVERYTHING)).map(({ first }) => first)),
        )

        expect(firsts).toEqual([[0, 3, 6], [0, 3, 6], [3, 6], [3, 6], [6], [6], [], []])
      })

      promise('gives as many rows as fit, and one that does not fit by itself', async (store) => {
        await store.commit({ ...at(0), append: rows([1, 1, 1, 1], { size: 100 }) })

        const counts = await Promise.all(
          [0, 1, 99, 100, 199, 200, 399, 400].map(async (bytes) => (await store.read(0, bytes)).length),
        )

        expect(counts).toEqual([1, 1, 1, 1, 1, 2, 3, 4])
      })

      promise('does not leave out a large row for a small one behind it', async (store) => {
        const [small, large, last] = rows([1, 1, 1]) as [Chunk, Chunk, Chunk]
        const appended = [small, { ...large, size: 5_000 }, { ...last, start: last.start + 4_900 }]
        await store.commit({ ...at(0), append: appended })

        expect(await store.read(0, 300)).toEqual([small])
      })
    })

    describe('reading back', () => {
      promise('ends with the row that begins before the offset, oldest row first', async (store) => {
        await store.commit({ ...at(0), append: rows([3, 3, 3]) })

        const firsts = await Promise.all(
          [0, 1, 3, 4, 6, 7, 9, 99].map(async (to) =>
            (await store.readBefore(to, EVERYTHING)).map(({ first }) => first),
          ),
        )

        expect(firsts).toEqual([[], [0], [0], [0, 3], [0, 3], [0, 3, 6], [0, 3, 6], [0, 3, 6]])
      })

      promise('gives the newest rows that fit, and one that does not fit by itself', async (store) => {
        await store.commit({ ...at(0), append: rows([1, 1, 1, 1], { size: 100 }) })

        const pages = await Promise.all(
          [0, 100, 200, 399].map(async (bytes) => (await store.readBefore(4, bytes)).map(({ first }) => first)),
        )

        expect(pages).toEqual([[3], [3], [2, 3], [1, 2, 3]])
      })
    })

    describe('trimming', () => {
      promise('deletes rows that lie wholly below, and no other', async (store) => {
        await store.commit({ ...at(0), append: rows([3, 3, 3]) })

        await store.commit({ ...at(9), append: [], trimBelow: 5 })

        expect((await store.read(0, EVERYTHING)).map(({ first }) => first)).toEqual([3, 6])
        expect((await store.readBefore(9, EVERYTHING)).map(({ first }) => first)).toEqual([3, 6])
      })

      promise('counts what is appended in the same commit', async (store) => {
        await store.commit({ ...at(0), append: rows([3, 3]), trimBelow: 3 })

        expect((await store.read(0, EVERYTHING)).map(({ first }) => first)).toEqual([3])
      })

      promise('may delete everything, after which the log goes on where it ended', async (store) => {
        await store.commit({ ...at(0), append: rows([3, 3]), ...checkpointOf(6), trimBelow: 6 })
        const empty = await store.load('')

        await expectConflict(store, { ...at(0), append: rows([1]) })
        await store.commit({ ...at(6), append: rows([1], { first: 6 }) })

        expect(empty).toMatchObject({ heads: [], tail: undefined })
        expect(await store.read(0, EVERYTHING)).toEqual(rows([1], { first: 6 }))
      })

      promise('below what is there deletes nothing', async (store) => {
        await store.commit({ ...at(0), append: rows([3]) })

        await store.commit({ ...at(3), append: [], trimBelow: 0 })

        expect(await store.read(0, EVERYTHING)).toHaveLength(1)
      })
    })

    describe('a checkpoint', () => {
      promise('overwrites the buckets it names and leaves the others', async (store) => {
        await store.commit({ ...at(0), append: [], checkpoint: [index(0), [0, 'zero'], [7, 'seven'], [15, 'fifteen']] })

        await store.commit({ ...at(0), append: [], checkpoint: [index(0), [7, 'seven again'], [8, 'eight']] })

        const { checkpoint } = await store.load('')
        expect(new Map(checkpoint)).toEqual(
          new Map([index(0), [0, 'zero'], [7, 'seven again'], [8, 'eight'], [15, 'fifteen']]),
        )
      })

      promise('spares loading the rows before it', async (store) => {
        const appended = rows([3, 3, 3, 3])

        await store.commit({ ...at(0), append: appended, ...checkpointOf(8) })
        const { heads, tail } = await store.load('')

        expect(heads.map(({ first }) => first)).toEqual([6, 9])
        expect(heads.map(({ runs, users, at, start, size, next }) => ({ runs, users, at, start, size, next }))).toEqual(
          appended.slice(2).map(({ runs, users, at, start, size, next }) => ({ runs, users, at, start, size, next })),
        )
        expect(tail).toEqual(appended[3])
      })

      promise('at the end spares loading all of them but the last', async (store) => {
        await store.commit({ ...at(0), append: rows([3, 3]), ...checkpointOf(6) })

        const { heads, tail } = await store.load('')

        expect(heads).toEqual([])
        expect(tail?.first).toBe(3)
      })

      promise('may be long, may shrink again, and is cut through no character', async (store) => {
        const long = '🚀'.repeat(600_000)
        await store.commit({ ...at(0), append: [], checkpoint: [index(0), [3, long], [4, `x${long}`]] })
        const first = new Map((await store.load('')).checkpoint)

        await store.commit({ ...at(0), append: [], checkpoint: [index(0), [3, '[]']] })
        const second = new Map((await store.load('')).checkpoint)

        // Not `toBe`: nobody wants to read the difference.
        expect([first.get(3) === long, first.get(4) === `x${long}`]).toEqual([true, true])
        expect([second.get(3), second.get(4) === `x${long}`]).toEqual(['[]', true])
      })
    })

    describe('all or nothing', () => {
      promise('refuses a commit that was decided on another head, and writes nothing of it', async (store) => {
        const appended = rows([3, 3])
        await store.commit({ ...at(0), append: appended, checkpoint: [index(0), [1, 'one']] })
        const last = appended[1] as Chunk

        for (const head of [0, 3, 5, 7]) {
          await expectConflict(store, {
            ...at(head),
            replaceTail: { ...last, next: 9 },
            append: rows([1], { first: 9 }),
            trimBelow: 3,
            checkpoint: [index(9), [1, 'changed'], [2, 'new']],
          })
        }

        expect(await store.read(0, EVERYTHING)).toEqual(appended)
        expect(new Map((await store.load('')).checkpoint)).toEqual(new Map([index(0), [1, 'one']]))
      })

      promise('lets one of two writers win', async (store) => {
        const other = await reopen(store)
        await Promise.all([store.load(EPOCH), other.load(EPOCH)])

        await store.commit({ ...at(0), append: rows([2]) })
        await expectConflict(other, { ...at(0), append: rows([3]) })
        await other.commit({ ...at(2), append: rows([3], { first: 2 }) })
        await expectConflict(store, { ...at(2), append: rows([1], { first: 2 }) })

        expect((await store.read(0, EVERYTHING)).map(({ first, next }) => [first, next])).toEqual([
          [0, 2],
          [2, 5],
        ])
      })

      promise('lets one of two writers win also once everything was trimmed', async (store) => {
        const other = await reopen(store)
        await store.commit({ ...at(0), append: rows([2]) })
        await other.load(EPOCH)

        await store.commit({ ...at(2), append: rows([3], { first: 2 }), ...checkpointOf(5), trimBelow: 5 })

        await expectConflict(other, { ...at(2), append: rows([1], { first: 2 }) })
      })

      promise('goes on after a refusal', async (store) => {
        await expectConflict(store, { ...at(9), append: rows([1], { first: 9 }) })

        await store.commit({ ...at(0), append: rows([1]) })

        expect(await store.read(0, EVERYTHING)).toHaveLength(1)
      })
    })

    describe('what is durable', () => {
      promise('is there after a restart, whole', async (store) => {
        const appended = rows([3, 1, 200])
        await store.commit({ ...at(0), append: appended, checkpoint: [index(0), [5, 'five']] })
        await store.durable()

        const again = await reopen(store)
        const { epoch, checkpoint, tail, heads } = await again.load(OTHER_EPOCH)

        expect({ epoch, tail, heads: heads.length }).toEqual({ epoch: EPOCH, tail: appended[2], heads: 3 })
        expect(new Map(checkpoint)).toEqual(new Map([index(0), [5, 'five']]))
        expect(await again.read(0, EVERYTHING)).toEqual(appended)
      })

      promise('can be waited for at any time, also twice and for nothing', async (store) => {
        await store.durable()
        await store.commit({ ...at(0), append: rows([1]) })

        await Promise.all([store.durable(), store.durable()])

        expect(await store.read(0, EVERYTHING)).toHaveLength(1)
      })
    })

    describe('text', () => {
      const TEXTS: [string, string][] = [
        ['beyond ASCII', 'ÄÖÜß – “quotes” – 中文 – עברית – ไทย'],
        ['beyond the basic plane', '🚀👩‍👩‍👧‍👦𝒳\u{10ffff}'],
        ['composed and decomposed', 'caf\u00e9 cafe\u0301 \u212b \u00c5'],
        ['that other languages read as syntax', `'; drop table chunk; -- ' " \\ % _ ? $1 \${x} <script> &amp;`],
        ['with signs that do not print', '\t\r\u007f\u0080\u009f\u00a0\u00ad\u200b\u200d\u2028\u2029\ufeff\ufffd'],
        ['with places that stand for no character', '\ufffe\uffff\ufdd0\u{1fffe}\u{1ffff}'],
      ]
      for (const [what, text] of TEXTS) {
        promise(`${what} comes back as it was`, async (store) => {
          const [row] = rows([1]) as [Chunk]
          const odd = {
            ...row,
            body: `"${text}"`,
            runs: `["p0000001",1,1,0,{"keys":[${JSON.stringify(text)}]}]`,
            users: JSON.stringify([text]),
          }

          await store.commit({ ...at(0), append: [odd], checkpoint: [index(0), [1, text]] })
          await store.durable()

          const again = await reopen(store)
          const { checkpoint } = await again.load('')
          expect(await again.read(0, EVERYTHING)).toEqual([odd])
          expect(new Map(checkpoint).get(1)).toBe(text)
        })
      }

      const LETTERS: [string, string][] = [
        ['one byte', 'x'],
        ['two bytes', 'é'],
        ['three bytes', 'あ'],
        ['four bytes', '🚀'],
      ]
      for (const [size, letter] of LETTERS) {
        promise(`may fill a row with letters of ${size}`, async (store) => {
          const [row] = rows([1]) as [Chunk]
          const bytes = new TextEncoder().encode(letter).length
          const large = { ...row, body: `"${letter.repeat(Math.floor((512 * 1024) / bytes))}"`, size: 512 * 1024 }

          await store.commit({ ...at(0), append: [large] })
          await store.durable()

          const [found] = await (await reopen(store)).read(0, 1)
          expect(found?.body === large.body).toBe(true)
        })
      }
    })

    describe('at length', () => {
      promise('leads through a long log page by page, both ways, without a hole or a repeat', async (store) => {
        const appended = rows(Array.from({ length: 300 }, (_, i) => (i % 7) + 1))
        for (let i = 0; i < appended.length; i += 50)
          await store.commit({ ...at((appended[i] as Chunk).first), append: appended.slice(i, i + 50) })
        const head = appended.at(-1)?.next ?? 0

        const on: Chunk[] = []
        for (let from = 0; from < head; from = on.at(-1)?.next ?? head) on.push(...(await store.read(from, 1_500)))
        const back: Chunk[] = []
        for (let to = head; to > 0; to = back[0]?.first ?? 0) back.unshift(...(await store.readBefore(to, 1_500)))

        expect(on).toEqual(appended)
        expect(back).toEqual(appended)
      })

      for (const seed of [1, 2, 3, 4]) {
        promise(`agrees with a plain list after a random history (${seed})`, async (store) => {
          const random = numbers(seed)
          const model = new Model()
          for (let i = 0; i < 60; i++) {
            const commit = model.invent(random)
            await store.commit(commit)
            model.commit(commit)
            const [offset, bytes] = [random(model.head + 3), random(900)]

            expect(await store.read(offset, bytes)).toEqual(model.read(offset, bytes))
            expect(await store.readBefore(offset, bytes)).toEqual(model.readBefore(offset, bytes))
          }
          await store.durable()

          const { heads, tail } = await (await reopen(store)).load('')
          expect(tail).toEqual(model.rows.at(-1))
          expect(heads.map(({ first }) => first)).toEqual(
            model.rows.filter(({ next }) => next > model.checkpointAt).map(({ first }) => first),
          )
        })
      }
    })
  })
}

/** A commit that was decided at this head. */
const at = (head: number) => ({ expect: { head, term: 0 } })

/** An index row of a checkpoint, as brokers write it: of all in it a store reads only where the checkpoint was taken. */
const index = (next: number) => [INDEX, JSON.stringify({ next, bytes: 0, at: 0, segments: [] })] as const
const checkpointOf = (next: number) => ({ checkpoint: [index(next)] })

async function expectConflict(store: LogStore, commit: Commit): Promise<void> {
  const attempt = async (): Promise<void> => store.commit(commit)
  await expect(attempt()).rejects.toBeInstanceOf(StoreConflict)
}

/** Rows with so many messages each, one after the other. */
function rows(counts: readonly number[], { first = 0, size = 100 }: { first?: number; size?: number } = {}): Chunk[] {
  let next = first
  return counts.map((count, i) => {
    const from = next
    next += count
    const body = Array.from({ length: count }, (_, n) => JSON.stringify({ n: from + n })).join(',\n')
    return {
      first: from,
      next,
      at: 1_000 + i,
      start: from * 100 + i * size,
      size,
      runs: `["p0000001",${from + 1},${count},${1_000 + i}]`,
      users: '[""]',
      body,
    }
  })
}

/** Whole numbers from 0 to before a bound, the same ones for the same seed. */
function numbers(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return Math.floor((state / 0x8000_0000) * bound)
  }
}

/** What a store has to do, done the simplest way. */
class Model {
  rows: Chunk[] = []
  head = 0
  checkpointAt = 0

  invent(random: (bound: number) => number): Commit {
    const tail = this.rows.at(-1)
    const expected = at(this.head)
    if (tail && random(4) === 0)
      return {
        ...expected,
        replaceTail: { ...tail, next: tail.next + 1, size: tail.size + 20, body: `${tail.body},\n0` },
        append: [],
      }
    const append = rows(
      Array.from({ length: random(4) }, () => 1 + random(5)),
      { first: this.head, size: 50 + random(200) },
    )
    const head = append.at(-1)?.next ?? this.head
    return random(5) === 0
      ? { ...expected, append, ...checkpointOf(head), trimBelow: random(head + 1) }
      : { ...expected, append }
  }

  commit({ replaceTail, append, trimBelow, checkpoint }: Commit): void {
    if (replaceTail) this.rows.splice(-1, 1, replaceTail)
    this.rows.push(...append)
    this.head = append.at(-1)?.next ?? replaceTail?.next ?? this.head
    if (checkpoint) this.checkpointAt = this.head
    if (trimBelow !== undefined) this.rows = this.rows.filter(({ next }) => next > trimBelow)
  }

  read(from: number, maxBytes: number): Chunk[] {
    return fitting(
      this.rows.filter(({ next }) => next > from),
      maxBytes,
    )
  }

  readBefore(to: number, maxBytes: number): Chunk[] {
    return fitting(this.rows.filter(({ first }) => first < to).reverse(), maxBytes).reverse()
  }
}

function fitting(rows: readonly Chunk[], maxBytes: number): Chunk[] {
  let [count, bytes] = [0, 0]
  for (const { size } of rows) {
    bytes += size
    if (count > 0 && bytes > maxBytes) break
    count++
  }
  return rows.slice(0, count)
}
