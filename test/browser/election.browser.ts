import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { Election } from '../../packages/sdk/src/client/election.ts'
import { TabBus } from '../../packages/sdk/src/link/tabs.ts'

afterEach(() => vi.useRealTimers())

test('the lead is taken from a tab that does not answer', async () => {
  const { holder, election } = await standing()

  await vi.advanceTimersByTimeAsync(60_000)

  await vi.waitFor(() => expect(election.leading).toBe(true))
  expect(holder.robbed).toBe(true)
})

test('the lead is never taken from a tab of a newer build, only waited for', async () => {
  const { holder, election, name } = await standing({ newer: true })

  await vi.advanceTimersByTimeAsync(60_000)

  // Asked for after everything else that was asked for.
  await navigator.locks.query()
  expect(holder.robbed).toBe(false)
  expect(election.leading).toBe(false)
  holder.release()
  await vi.waitFor(() => expect(election.leading, name).toBe(true))
})

/** A tab that waits for something, while another one holds the lock and says nothing that it understands. */
async function standing({ newer = false } = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const name = `messkit/election-${crypto.randomUUID()}`
  const { promise, resolve: release } = Promise.withResolvers<void>()
  const holder = { robbed: false, release }
  await new Promise<void>((held) => {
    navigator.locks
      .request(name, () => {
        held()
        return promise
      })
      .catch(() => {
        holder.robbed = true
      })
  })
  const bus = new TabBus('this')
  const nothing = (): void => {}
  const election = new Election(
    {
      bus,
      nextTerm: async () => 1,
      prepare: async () => {},
      elected: nothing,
      deposed: nothing,
      changed: nothing,
      gone: nothing,
      waiting: () => true,
      failed: nothing,
    },
    { away: nothing, back: nothing },
  )
  await election.join(name)
  onTestFinished(() => {
    election.close()
    release()
  })
  if (newer) await say(name, { v: Number.MAX_SAFE_INTEGER, kind: 'words of later', from: 'newer' })
  election.wait()
  return { holder, election, name }
}

/** Resolves once every channel that was opened before has heard it. */
async function say(name: string, envelope: unknown): Promise<void> {
  const [stranger, last] = [new BroadcastChannel(name), new BroadcastChannel(name)]
  const heard = new Promise((resolve) => {
    last.onmessage = resolve
  })
  stranger.postMessage(envelope)
  await heard
  for (const channel of [stranger, last]) channel.close()
}
