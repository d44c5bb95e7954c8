export { checkpointAt } from './checkpoint.ts'
export { type HomeOptions, type Port, TopicHome } from './home.ts'
export type { Identity, LinkState } from './machine.ts'
export type { Retention } from './retention.ts'
