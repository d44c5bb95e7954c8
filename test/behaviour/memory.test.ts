import { MemoryStore } from '../../packages/sdk/src/store/memory.ts'
import { homeSuite } from './home.suite.ts'

homeSuite('memory', { make: () => new MemoryStore(), reopen: (store) => store })
