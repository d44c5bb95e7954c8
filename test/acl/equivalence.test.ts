import { expect, test } from 'vitest'
import { generator } from '../support/random.ts'
import { compareEvaluators } from './equivalence.ts'

/** A share of the campaign; `MESSKIT_ACL_POLICIES=100000 npx vitest run --project node test/acl/equivalence.test.ts` is all of it. */
const POLICIES = Number(process.env.MESSKIT_ACL_POLICIES ?? 6_000)
const EACH = 5

test('compiled rules answer what a plain scan of them answers', () => {
  const random = generator('acl-equivalence')

  const compared = compareEvaluators(random, { policies: POLICIES, requestsEach: EACH })

  console.log(`${compared.policies} policies, ${compared.requests} requests, ${random.seed}`)
  console.log(
    [...compared.kinds]
      .toSorted()
      .map(([kind, count]) => `${kind}: ${count}`)
      .join('; '),
  )
  expect(compared.differences.slice(0, 3), random.seed).toEqual([])
  // Otherwise the comparison shows less than it says.
  for (const kind of MUST_HAPPEN) expect(compared.kinds.has(kind), `${kind} never happened, ${random.seed}`).toBe(true)
}, 600_000)

const MUST_HAPPEN = [
  'native allow rule',
  'native deny rule',
  'native deny limit',
  'native defer default',
  'native deny name',
  'broker-j allow rule',
  'broker-j deny rule',
  'broker-j deny unknown',
  'broker-j deny default',
  'broker-j allow default',
  'broker-j defer default',
  'broker-j defer nobody',
  'cpp allow rule',
  'cpp deny rule',
  'cpp deny limit',
  'cpp deny quota',
  'cpp allow default',
  'cpp deny default',
]
