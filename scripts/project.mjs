// Where things are, for every script. Plain JavaScript without dependencies: the launcher reads it before anything is installed.
import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
export const privateDir = join(root, '.messkit')
export const inRoot = (...parts) => join(root, ...parts)

/** Whether this module is the script that was started, and not imported by another. */
export const isEntry = (meta) =>
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(meta.url)

/** A failure whose message is all that the reader needs: printed as one line, without a stack. */
export class Failure extends Error {
  name = 'Failure'
}

/** Runs a script's main function; failures end it with one line and exit code 1. */
export async function main(run) {
  try {
    await run()
  } catch (error) {
    console.error(error instanceof Failure ? `messkit: ${error.message}` : error)
    process.exit(1)
  }
}
