import { app } from './app.ts'

export { TopicObject } from './objects/topic-object.ts'

export default { fetch: app.fetch }
