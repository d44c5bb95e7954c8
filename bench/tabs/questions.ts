import { handover } from './handover.ts'
import { latencyDurable, latencySession } from './latency.ts'
import { outboxDrain, stored1 } from './outbox.ts'
import type { TabQuestion } from './question.ts'
import { throughputSession } from './throughput.ts'
import { topics32 } from './topics.ts'

export const TAB_QUESTIONS: readonly TabQuestion[] = [
  latencySession,
  latencyDurable,
  throughputSession,
  outboxDrain,
  stored1,
  topics32,
  handover,
]
