// What end-to-end encryption costs: `node bench/cipher.ts` prints microseconds for sealing and opening one message, one at a time and many side by
// side, and how many messages a second one client publishes to a server, with a cipher and without, in turn.
import { createMess, type Mess } from '@messkit/sdk'
import { aesGcm, endToEnd } from '@messkit/sdk/cipher'
import { isSealed, open, unsealed } from '../packages/sdk/src/cipher/envelope.ts'
import { makeToken, runServer } from '../test/support/server.ts'
import { median } from './harness/median.ts'

const SIZES = [64, 1_024]
const ROUNDS = 7
const MESSAGES = 20_000
const SIDE_BY_SIDE = 1_000
const PUBLISHES = 30_000
const IN_FLIGHT = 2_000

const cipher = aesGcm({
  keys: new Map([['k1', crypto.getRandomValues(new Uint8Array(32))]]),
  current: 'k1',
  perTopic: true,
})
const place = { topic: 'bench/cipher', key: undefined }
const line = (bytes: number): string => JSON.stringify('x'.repeat(bytes - 2))

/** Microseconds for each of many, so many at a time. */
async function each(count: number, atOnce: number, task: (i: number) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  for (let i = 0; i < count; i += atOnce) await Promise.all(Array.from({ length: atOnce }, (_, n) => task(i + n)))
  return ((performance.now() - startedAt) / count) * 1000
}

const seal = (bytes: number): Promise<string> => unsealed(cipher, place, 'ana', line(bytes)).seal()

async function unseal(text: string): Promise<unknown> {
  const raw: unknown = JSON.parse(text)
  if (!isSealed(raw)) throw new Error('not sealed')
  return open(cipher, place, raw)
}

for (const bytes of SIZES) {
  const text = await seal(bytes)
  for (const atOnce of [1, SIDE_BY_SIDE]) {
    const times = { seal: [] as number[], open: [] as number[] }
    for (let round = 0; round < ROUNDS; round++) {
      times.seal.push(await each(MESSAGES, atOnce, () => seal(bytes)))
      times.open.push(await each(MESSAGES, atOnce, () => unseal(text)))
    }
    const [sealing, opening] = [times.seal, times.open].map((all) => median(all).toFixed(1))
    console.log(
      `${bytes} B, ${atOnce} at once: sealing ${sealing} µs, opening ${opening} µs; ${text.length} B on the wire`,
    )
  }
}

/** Acked messages a second, with so many in flight. */
async function throughput(mess: Mess, topic: string, sealed: boolean, bytes: number): Promise<number> {
  const handle = mess.topic<string>(topic, sealed ? { cipher: endToEnd(cipher) } : {})
  const data = 'x'.repeat(bytes - 2)
  await handle.publish(data)
  let next = 0
  const startedAt = performance.now()
  const lane = async (): Promise<void> => {
    while (next < PUBLISHES) {
      next++
      await handle.publish(data)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  return PUBLISHES / ((performance.now() - startedAt) / 1000)
}

const server = await runServer()
const mess = createMess({ url: server.url, user: 'ana', token: () => makeToken() })
for (const bytes of SIZES) {
  const rates = { plain: [] as number[], sealed: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    rates.plain.push(await throughput(mess, `plain/${bytes}-${round}`, false, bytes))
    rates.sealed.push(await throughput(mess, `sealed/${bytes}-${round}`, true, bytes))
  }
  const [plain, sealed] = [median(rates.plain), median(rates.sealed)]
  console.log(
    `${bytes} B published, ${IN_FLIGHT} in flight: ${Math.round(plain)} messages/s, sealed ${Math.round(sealed)} ` +
      `(${((sealed / plain) * 100).toFixed(0)} %)`,
  )
}
await mess.close()
await server.end()
