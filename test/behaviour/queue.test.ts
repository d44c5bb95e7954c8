import { MemoryQueueStore } from '../../packages/sdk/src/store/memory-queue.ts'
import { claimsSuite } from './claims.suite.ts'
import { queueSuite } from './queue.suite.ts'

queueSuite('memory', { make: () => new MemoryQueueStore(), reopen: (store) => store })
claimsSuite('memory', { make: () => new MemoryQueueStore(), reopen: (store) => store })
