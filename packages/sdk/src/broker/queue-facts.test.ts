import { expect, test } from 'vitest'
import { newJob } from './job.ts'
import type { Claim } from './jobs.ts'
import { leaseFact, readMemo } from './queue-facts.ts'

type Leased = readonly [lane: number, due: number, id: number, turn: number, untilMs: number]

function claimOf(leased: readonly Leased[]): Claim {
  const facts = { worker: 'ana.worker', leaseMs: 60_000, bytes: 0, pushed: true, link: undefined }
  const claim: Claim = { ...facts, token: 7, slot: 3, held: new Map() }
  for (const [lane, due, id, turn, untilMs] of leased) {
    const by = { by: 'ana.publisher', byText: '"ana.publisher"', sequence: 1, options: {}, optionsText: '{}' }
    const job = Object.assign(newJob({ id, lane, due, at: 1, ...by, body: '1' }), { turn })
    claim.held.set(id, { job, claim, untilMs })
  }
  return claim
}

const read = (fact: readonly [string, string]) => readMemo({ epoch: 'epoch', facts: [fact] }).leases[0]?.jobs
const inRow = (first: number, count: number, turn = 0, untilMs = 9): Leased[] =>
  Array.from({ length: count }, (_, i) => [4, 0, first + i, turn, untilMs])

test('leases are read as they were written, whatever of them is in a row', () => {
  const differing: Leased[][] = [
    inRow(1, 1_000),
    [...inRow(1, 3), ...inRow(4, 3, 1), ...inRow(7, 3)],
    [...inRow(1, 2), ...inRow(3, 2, 0, 10), ...inRow(5, 1)],
    [...inRow(1, 2), [5, 0, 3, 0, 9], [4, 5, 4, 0, 9], ...inRow(5, 2)],
    // One of them has ended, or they were not given in the order of their ids.
    [...inRow(1, 3), ...inRow(5, 3)],
    [...inRow(5, 3), ...inRow(1, 4), ...inRow(8, 2)],
    inRow(9, 3).reverse(),
  ]
  for (const leased of differing) expect(read(leaseFact(claimOf(leased), undefined))).toEqual(leased)
})

test('leases in a row are one entry, and one without a count is one lease', () => {
  const [name, text] = leaseFact(claimOf(inRow(1, 500)), undefined)
  const before = JSON.stringify({ token: 7, worker: 'w', leaseMs: 1, jobs: [...inRow(1, 2), ...inRow(7, 1)] })

  expect(JSON.parse(text).jobs).toEqual([[4, 0, 1, 0, 9, 500]])
  expect(read([name, before])).toEqual([...inRow(1, 2), ...inRow(7, 1)])
})
