export { MemoryStore } from './memory.ts'
export type { JobRow, LaneCount, PageBounds, Place, QueueCommit, QueueLoaded, QueueStore } from './queue-store.ts'
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
