import { MemoryQueueStore } from './memory-queue.ts'
import { queueStoreSuite } from './queue-store.suite.ts'

queueStoreSuite('memory', { make: () => new MemoryQueueStore(), reopen: (store) => store })
