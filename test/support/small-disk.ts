import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where a disk of a size of our choice can be had: Linux lets root have one. */
export const canMount = process.platform === 'linux' && process.getuid?.() === 0

/** A disk that is full after so many bytes. */
export interface SmallDisk {
  readonly folder: string
  grow(bytes: number): void
  end(): void
}

export function mountDisk(bytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'messkit-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', folder])
  return {
    folder,
    grow: (more) => void execFileSync('mount', ['-o', `remount,size=${more}`, folder]),
    end() {
      execFileSync('umount', [folder])
      rmdirSync(folder)
    },
  }
}
