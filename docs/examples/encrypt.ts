// #region seal
import { createMess } from '@messkit/sdk'
import { aesGcm, type Cipher, endToEnd } from '@messkit/sdk/cipher'

interface Note {
  readonly text: string
}

// 32 random bytes that all who may read have, and the server has not.
const march = crypto.getRandomValues(new Uint8Array(32))
const keys = new Map([['march', march]])
const ring = aesGcm({ keys, current: 'march', perTopic: true })

const mess = createMess({ user: 'ana' })
const notes = mess.topic<Note>('notes/ana', { cipher: endToEnd(ring) })
// #endregion

// #region read
const reading = notes.subscribe(({ data, by }) => console.log(`${by}: ${data.text}`), {
  from: 'start',
  onError: (error, { raw, offset }) => {
    // cipher_unknown_key, cipher_failed, cipher_replayed, cipher_plaintext; `raw` is what was stored
    console.log(`message ${offset} is refused: ${error.code}`, Array.isArray(raw) ? raw[1] : raw)
    return 'skip'
  },
})
await notes.publish({ text: 'milk' })
// #endregion

// #region rotate
keys.set('april', crypto.getRandomValues(new Uint8Array(32))) // 1. in everybody's hands, so that they can open
ring.keyId = 'april' // 2. from now on it seals; what was sealed in March still opens
await notes.publish({ text: 'eggs' })
// #endregion

// #region other
const fetched: Cipher = {
  get keyId() {
    return ring.keyId
  },
  seal: ring.seal,
  async open(sealed, binding) {
    if (!keys.has(binding.keyId)) keys.set(binding.keyId, await fetchKey(binding.keyId))
    return ring.open(sealed, binding)
  },
}
const shared = mess.topic<Note>('notes/shared', { cipher: endToEnd(fetched) })
// #endregion
void shared

// What somebody without the keys can do to it.
const home = mess.topic<unknown>('notes/ana')
const [stored] = (await home.history()).messages
await home.publish(stored?.data)
const { cursor } = await home.publish({ text: 'sugar' })
// → ana: milk
// → ana: eggs
// → message 2 is refused: cipher_replayed march
// → message 3 is refused: cipher_plaintext [object Object]

while (reading.cursor !== cursor) await new Promise((resolve) => setTimeout(resolve))
await mess.close()

async function fetchKey(_id: string): Promise<Uint8Array<ArrayBuffer>> {
  return crypto.getRandomValues(new Uint8Array(32))
}
