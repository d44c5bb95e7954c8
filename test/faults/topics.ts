import type { World } from './campaign.ts'
import { ChildClient, Spares } from './child-client.ts'
import { drawPlan, OUTCOMES, type Plan, playHistory, varsOf } from './history.ts'
import { FAULTS } from './kinds.ts'

/** Histories of topics. */
export function topicWorld(): World<Plan> {
  const children = new Spares(() => new ChildClient())
  return {
    kinds: [
      ...Object.keys(FAULTS),
      'token expired',
      'token refused',
      'login down',
      'half open',
      // Whether an object is out of memory is seen by its files, where the system tells who has which open.
      ...(process.platform === 'linux' ? ['object asleep'] : []),
    ],
    outcomes: OUTCOMES,
    told: { published: 'publish', acked: 'acked', delivered: 'deliver' },
    flags: '',
    drawPlan,
    varsOf,
    prepare: () => children.prepare(),
    play: (plan, server) => playHistory(plan, server, children),
    end: () => children.end(),
  }
}
