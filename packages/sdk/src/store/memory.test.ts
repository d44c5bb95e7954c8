import { MemoryStore } from './memory.ts'
import { storeSuite } from './store.suite.ts'

storeSuite('memory', { make: () => new MemoryStore(), reopen: (store) => store })
