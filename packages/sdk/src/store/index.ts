export { MemoryStore } from './memory.ts'
export {
  type Chunk,
  type ChunkHead,
  type Commit,
  type Loaded,
  type LogStore,
  type Maybe,
  StoreConflict,
  StoreFull,
} from './store.ts'
