import { createServer } from 'node:net'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { endLaunches, LAUNCH, launch, START_MS, type Started, start } from './support/launch.ts'
import { running } from './support/processes.ts'

const END_MS = 15_000

afterAll(endLaunches)

describe('npm start leaves no process behind', { timeout: START_MS + END_MS }, () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)('when the launcher gets %s', async (signal) => {
    const started = await start(process.execPath, LAUNCH)

    started.child.kill(signal)

    await expectGone(started)
  })

  test('and says that all went well, when it was asked to stop', async () => {
    const started = await start(process.execPath, LAUNCH)

    started.child.kill('SIGINT')

    expect(await started.exited).toBe(0)
  })

  test('when whoever started the launcher is killed', async () => {
    const parent = `require('node:child_process').spawn(process.execPath, ${JSON.stringify(LAUNCH)}, { stdio: 'inherit' })`
    const started = await start(process.execPath, ['-e', parent])

    started.child.kill('SIGKILL')

    await expectGone(started)
  })

  test('when npm is killed, and the shell between it and the launcher is not', async () => {
    const shell = `${JSON.stringify(process.execPath)} ${LAUNCH.join(' ')}; exit $?`
    const npm = `require('node:child_process').spawn('sh', ['-c', ${JSON.stringify(shell)}], { stdio: 'inherit' })`
    const started = await start(process.execPath, ['-e', npm], { npm_lifecycle_event: 'start' })

    started.child.kill('SIGKILL')

    await expectGone(started)
  })

  test('when the server itself is killed, and the launcher fails', async () => {
    const started = await start(process.execPath, LAUNCH)

    process.kill(started.below.at(-1) ?? 0, 'SIGKILL') // the innermost: workerd

    await expectGone(started)
    expect(await started.exited).toBe(1)
  })
})

test('a port that is taken is named in one line', { timeout: START_MS }, async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void holder.close())
  const { port } = holder.address() as { port: number }

  const { child, output, exited } = launch(process.execPath, LAUNCH, { PORT: String(port) })

  expect(await exited).toBe(1)
  expect(output().trim().split('\n')).toEqual([expect.stringContaining(`port ${port} is taken`)])
  expect(child.exitCode).toBe(1)
})

async function expectGone({ url, below, child }: Started): Promise<void> {
  expect(below.length).toBeGreaterThan(2) // the script, the supervisor, workerd
  await expect.poll(() => running([...below, child.pid ?? 0]), { timeout: END_MS }).toEqual([])
  await expect(fetch(`${url}/health`)).rejects.toThrow()
}
