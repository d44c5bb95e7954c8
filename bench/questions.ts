import { fanout100 } from './fanout-100.ts'
import type { Question } from './harness/question.ts'
import { latency1 } from './latency-1.ts'
import { publish2000 } from './publish-2000.ts'

export const QUESTIONS: readonly Question[] = [publish2000, fanout100, latency1]
