import { app } from './app.ts'

export { DirectoryObject } from './objects/directory-object.ts'
export { LimiterObject } from './objects/limiter-object.ts'
export { QueueObject } from './objects/queue-object.ts'
export { TopicObject } from './objects/topic-object.ts'

export default { fetch: app.fetch }
