import type { Mess } from '@messkit/sdk'

interface Note {
  readonly text: string
}

/** Against a server that goes away and comes back, in a process; in a browser `stored` says `disk`. */
export async function tour(mess: Mess, server: { kill(): Promise<void>; restart(): Promise<void> }): Promise<void> {
  const notes = mess.topic<Note>('notes/ana')

  // #region status
  const stopListening = mess.on('status', ({ connection, storage, unsent, refused }) => {
    console.debug(`${connection}, ${unsent} unsent, ${refused} refused, kept in ${storage}`)
  })
  // #endregion

  // #region resume
  const subscription = notes.subscribe((message) => console.log(`${message.offset} ${message.data.text}`), {
    resume: 'list', // a name of your choice: where this subscription stopped
    from: 'start', // only for the first time
  })
  // #endregion
  await subscription.ready

  // #region ack
  const { offset, duplicate } = await notes.publish({ text: 'milk' })
  // #endregion
  console.log(`acked ${offset} ${duplicate}`)
  // → 0 milk
  // → acked 0 false

  await server.kill()

  // #region offline
  const receipt = notes.publish({ text: 'bread' })
  const { durability } = await receipt.stored // 'disk': safe, also if the browser is closed now
  receipt.then(({ offset }) => console.log(`the server has it at ${offset}`))
  // #endregion
  console.log(durability)
  // → memory

  // #region limited
  const impatient = notes.publish({ text: 'eggs' }, { waitMs: 100 })
  await impatient.catch((error) => console.log(error.code)) // the message stays in the outbox all the same
  // #endregion
  // → not_acked_yet

  // #region outbox
  for (const { id, topic, state } of await mess.outbox.list()) console.log(`${topic} ${state} ${id === receipt.id}`)
  // #endregion
  // → notes/ana waiting true
  // → notes/ana waiting false

  await server.restart()
  await receipt
  // → 1 bread
  // → 2 eggs
  // → the server has it at 1

  // #region refused
  mess.on('refused', async ({ id, error }) => {
    console.warn(`set aside: ${error?.code}`)
    await mess.outbox.discard(id) // or, once the reason is gone: mess.outbox.retry(id)
  })
  // #endregion

  // #region gap
  notes.subscribe((message) => console.debug(message.data.text), {
    from: 'start',
    onGap: async ({ from, to, reason }) => {
      await reload() // the state as it is now, from where you keep it
      console.debug(`went on behind ${from}–${to}: ${reason}`)
    },
  })
  // #endregion

  // #region trouble
  mess.on('error', (error) => console.error(error.code, error.message, error.retryable))
  // #endregion

  // #region close
  const { unsent } = await mess.close({ waitMs: 2_000 }) // gives what is unsent that long
  // #endregion
  console.log(`${unsent} unsent`)
  // → 0 unsent
  stopListening()
}

async function reload(): Promise<void> {}
