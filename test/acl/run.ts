import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { runVectors } from '../../packages/edge/src/acl/vectors.ts'
import { Failure, main } from '../../scripts/project.mjs'

/** `npm run acl:vectors -- FILE…`: runs files of vectors, names every one that differs, and counts them on its last line. */
await main(() => {
  const { positionals: files } = parseArgs({ allowPositionals: true })
  if (files.length === 0) throw new Failure('which files? npm run acl:vectors -- test/acl/vectors/acl-v2.json')
  const results = files.flatMap((file) => runFile(file))
  const failed = results.filter(({ faults }) => faults.length > 0)
  const skipped = results.filter(({ ran }) => ran.length === 0)
  for (const { id } of skipped) console.log(`${id}: skipped, none of its dialects is known`)
  for (const { id, faults } of failed) for (const fault of faults) console.log(`${id}: ${fault}`)
  const passed = results.length - failed.length - skipped.length
  console.log(`by dialect: ${countsOf(results.flatMap(({ ran }) => ran))}`)
  console.log(`${passed} passed, ${failed.length} failed`)
  // A file without vectors shows nothing, which is not the same as passing.
  if (failed.length > 0 || passed === 0) process.exitCode = 1
})

function runFile(file: string) {
  try {
    // npm runs this at the root of the repository, wherever it was called.
    return runVectors(JSON.parse(readFileSync(resolve(process.env.INIT_CWD ?? '', file), 'utf8')))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return [{ id: file, ran: ['?'], faults: [`cannot be run: ${reason}`] }]
  }
}

function countsOf(names: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
}
