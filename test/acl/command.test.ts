import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'messkit-acl-'))
afterAll(() => rmSync(folder, { recursive: true }))

const COMMAND = fileURLToPath(new URL('./run.ts', import.meta.url))
const FLAGS = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']

function run(...files: string[]): { status: number | null; last: string | undefined; output: string } {
  const { status, stdout } = spawnSync(process.execPath, [...FLAGS, COMMAND, ...files], {
    encoding: 'utf8',
    cwd: folder,
  })
  return { status, last: stdout.trimEnd().split('\n').at(-1), output: stdout }
}

function write(name: string, content: unknown): string {
  const file = join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

const vector = {
  id: 'v-good',
  dialects: ['native', 'semaphore'],
  rules: 'acl allow all publish topic',
  request: { user: 'ana', action: 'publish', object: 'topic', properties: { name: 'a' } },
  expect: 'allow',
}

test('counts what passed and what failed on its last line, and ends with 1 where something did', () => {
  const good = write('good.json', { vectors: [vector] })
  const bad = write('bad.json', { vectors: [{ ...vector, id: 'v-bad', expect: 'deny' }] })

  expect(run(good)).toMatchObject({ status: 0, last: '1 passed, 0 failed' })
  expect(run(good, bad)).toMatchObject({ status: 1, last: '1 passed, 1 failed' })
  expect(run(bad).output).toContain('v-bad: native: expect is allow and should be deny')
})

test('a file that shows nothing does not pass', () => {
  expect(run(write('empty.json', { vectors: [] }))).toMatchObject({ status: 1, last: '0 passed, 0 failed' })
  expect(run(write('broken.json', '{'))).toMatchObject({ status: 1, last: '0 passed, 1 failed' })
  expect(run(join(folder, 'missing.json'))).toMatchObject({ status: 1, last: '0 passed, 1 failed' })
})
