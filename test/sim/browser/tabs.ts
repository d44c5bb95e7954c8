import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CHANGES } from '../rights.ts'
import type { Outcome, simulate as simulateCore } from '../world.ts'
import { bundle } from './bundle.ts'
import { HAPPENINGS } from './swarm.ts'

/** What must have happened at least once in a campaign, or it has shown nothing about it. */
export const TAB_KINDS = [
  ...HAPPENINGS,
  'quota',
  'transaction aborted',
  'handle lost while committing',
  'database does not open',
  'database hangs',
  'crash in a transaction',
  'bus message lost',
  'late frames',
  'token refused',
  'message refused',
  ...CHANGES,
  'told to come again',
  'told to go',
  'subscription ended for want of a right',
]

let bundled: ReturnType<typeof bundle> | undefined

/** The world of tabs, built when it is first asked for: the SDK in it finds the globals of simulated pages. */
export async function simulateTabs(seed: number, watch?: Parameters<typeof simulateCore>[1]): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'messkit-tabs-'))
  bundled ??= bundle(folder)
  const { simulate } = await bundled.finally(() => rmSync(folder, { recursive: true, force: true }))
  return simulate(seed, watch)
}
