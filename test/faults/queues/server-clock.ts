import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const OFFSET = 'CLOCK_OFFSET_FILE'

/**
 * Servers whose clocks can be set, by a library that is loaded before all others (`clock.c`). It takes Linux and a C compiler; where they
 * are not, clocks are as they are, and the simulation alone has others.
 */
export class ServerClocks {
  readonly #folder: string | undefined
  #count = 0

  constructor() {
    if (process.platform !== 'linux') return
    const folder = mkdtempSync(join(tmpdir(), 'messkit-clock-'))
    try {
      const source = join(import.meta.dirname, 'clock.c')
      execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', join(folder, 'clock.so'), source], { stdio: 'ignore' })
      this.#folder = folder
    } catch {
      rmSync(folder, { recursive: true })
    }
  }

  get work(): boolean {
    return this.#folder !== undefined
  }

  /** For the process of one server. */
  readonly env = (): Record<string, string> => {
    if (this.#folder === undefined) return {}
    const file = join(this.#folder, `offset-${++this.#count}`)
    write(file, 0)
    return { LD_PRELOAD: join(this.#folder, 'clock.so'), [OFFSET]: file }
  }

  end(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true })
  }
}

/** Sets the clock of a server, from now on. @param env that it was started with @returns whether it can be set */
export function setClock(env: Readonly<Record<string, string>>, offsetMs: number): boolean {
  const file = env[OFFSET]
  if (file === undefined) return false
  write(file, offsetMs)
  return true
}

/** In place, since it is mapped into the server's memory. */
function write(file: string, offsetMs: number): void {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(offsetMs))
  const fd = openSync(file, 'a+')
  closeSync(fd)
  const target = openSync(file, 'r+')
  writeSync(target, bytes, 0, 8, 0)
  closeSync(target)
}
