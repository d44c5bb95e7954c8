// #region start
import { createMess } from '@messkit/sdk'

interface Order {
  readonly id: number
  readonly cents: number
}

const mess = createMess()
const orders = mess.topic<Order>('shop/orders')

const subscription = orders.subscribe((message) => {
  console.log(`order ${message.data.id} at offset ${message.offset}`)
})
await subscription.ready // from here on it misses nothing

const { offset } = await orders.publish({ id: 1, cents: 1_250 })
console.log(`stored at ${offset}`)
// #endregion
// → order 1 at offset 0
// → stored at 0

// #region wait
orders.subscribe(async (message) => {
  await bill(message.data) // the next message waits for this one
})
// #endregion

async function bill(order: Order): Promise<void> {
  await Promise.resolve()
  billed.push(order.id)
}
const billed: number[] = []

await orders.publish({ id: 2, cents: 800 })
// → order 2 at offset 1

// #region failing
let failures = 0
const careful = orders.subscribe(
  (message) => {
    if (message.data.id === 2 && failures++ < 2) throw new Error('the printer is out of paper')
    console.log(`printed ${message.data.id}`)
  },
  {
    from: 'start',
    onError: (error, message) => {
      console.log(`${error.code} at offset ${message.offset}`)
      return failures < 5 ? { retryInMs: 10 } : 'skip' // or 'stop'
    },
  },
)
// #endregion
// → printed 1
// → handler_failed at offset 1
// → handler_failed at offset 1
// → printed 2

await new Promise((resolve) => setTimeout(resolve, 200))
careful.stop()

// #region iterate
for await (const message of orders.messages({ from: 'start' })) {
  console.log(`read ${message.data.id}`)
  if (message.data.id === 2) break // leaving the loop stops the subscription
}
// #endregion
// → read 1
// → read 2

// #region history
const page = await orders.history({ limit: 100 }) // from the oldest; `reverse: true` from the newest
for (const { offset, data } of page.messages) console.log(`${offset}: ${data.cents} cents`)

let from = page.next // where the next page begins; undefined on the last one
while (from !== undefined) {
  const more = await orders.history({ limit: 100, from })
  from = more.next
}
// #endregion
// → 0: 1250 cents
// → 1: 800 cents

// #region position
const [first] = page.messages
if (first) {
  orders.subscribe((message) => console.log(`behind ${first.offset} comes ${message.offset}`), { from: first.cursor })
}
// #endregion
// → behind 0 comes 1
await new Promise((resolve) => setTimeout(resolve, 50))

// #region refused
try {
  orders.publish({ id: 3, cents: Number.NaN })
} catch (error) {
  console.log((error as Error).message)
}
// #endregion
// → data.cents is NaN, which JSON writes as null

// #region end
subscription.stop() // no handler starts after this; twice does no harm
await mess.close() // stops the rest
// #endregion

if (billed.join() !== '2') throw new Error(`billed ${billed.join()}`)
