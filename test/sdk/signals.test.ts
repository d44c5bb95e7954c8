import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createMess, type Mess } from '@messkit/sdk'
import { createQueue, stopOnSignals, work } from '@messkit/sdk/queue'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

/** Real processes that work, get real signals and leave: none of their jobs is lost, and none is held for a process that has gone. */

let server: TestServer
beforeAll(async () => {
  server = await runServer()
})
afterAll(() => server.end())

describe('a process that works', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    test(`finishes the job in hand after ${signal}, gives back the others at once, and ends by itself`, async () => {
      const { queue, child, exited } = await working(['a', 'b', 'c'])

      child.kill(signal)

      await eventually(async () => expect(await queue.counts()).toMatchObject({ ready: 2, active: 1 }))
      child.send('finish')
      expect(await exited).toEqual([0, null])
      expect(await queue.counts()).toMatchObject({ ready: 2, active: 0, retrying: 0, dead: 0 })
      expect((await queue.list('ready')).jobs.map(({ data, losses }) => [data, losses])).toEqual([
        ['b', 0],
        ['c', 0],
      ])
    })

  test('gives back the job in hand after a second signal', async () => {
    const { queue, child, exited } = await working(['a', 'b', 'c'])

    child.kill('SIGTERM')
    await eventually(async () => expect(await queue.counts()).toMatchObject({ active: 1 }))
    child.kill('SIGTERM')

    expect(await exited).toEqual([0, null])
    const { jobs } = await queue.list('ready')
    expect(jobs.map(({ data, losses, failures }) => [data, losses, failures])).toEqual(
      ['a', 'b', 'c'].map((data) => [data, 0, 0]),
    )
  })

  test('takes no other job after SIGTSTP, until SIGCONT', async () => {
    const { queue, child, exited, said } = await working(['a', 'b'])

    child.kill('SIGTSTP')
    await eventually(async () => expect(await queue.counts()).toMatchObject({ ready: 1, active: 1 }))
    child.send('finish')
    await eventually(async () => expect(await queue.counts()).toMatchObject({ ready: 1, active: 0 }))
    child.kill('SIGCONT')
    await eventually(() => expect(said).toContain('began b'))

    child.send('finish')
    await eventually(async () => expect(await queue.counts()).toMatchObject({ ready: 0, active: 0 }))
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })
})

test('listeners of signals go with the last worker that had them', async () => {
  const mess = open({ storage: 'memory', tabs: false })
  const counts = () => ['SIGTERM', 'SIGINT', 'SIGTSTP', 'SIGCONT'].map((signal) => process.listenerCount(signal))
  const before = counts()

  const workers = [createQueue(mess, 'a').work(() => {}), work(mess, ['b/*'], () => {})]
  stopOnSignals(workers)
  expect(counts()).toEqual(before.map((count) => count + 1))
  await workers[0]?.stop()
  expect(counts()).toEqual(before.map((count) => count + 1))
  await mess.close()

  await Promise.all(workers.map(({ done }) => done))
  await eventually(() => expect(counts()).toEqual(before))
})

// ---- helpers

function open(options: Parameters<typeof createMess>[0]): Mess {
  const mess = createMess(options)
  onTestFinished(async () => void (await mess.close()))
  return mess
}

let queues = 0

/** A child that works on these jobs, and has begun the first. */
async function working(jobs: readonly string[]) {
  const queue = createQueue<string>(open({ url: server.url, token: () => makeToken() }), `signals/${++queues}`)
  await queue.enqueueMany(jobs)
  const child = fork(join(import.meta.dirname, 'worker-process.ts'), [server.url, queue.name], {
    execArgv: ['--experimental-strip-types', '--disable-warning=ExperimentalWarning'],
  })
  const exited = once(child, 'exit')
  onTestFinished(() => end(child, exited))
  const said: string[] = []
  child.on('message', (what) => said.push(String(what)))
  await eventually(() => expect(said).toContain(`began ${jobs[0]}`))
  return { queue, child, exited, said }
}

async function end(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL')
  await exited
}
