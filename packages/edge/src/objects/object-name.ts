/** An object is named `<kind>:<space>:<name>`; so far there is one space. */
const TOPIC = 'topic:main:'

/** The one object of the deployment's policy. */
export const DIRECTORY = 'directory:main'

/** Who counts connections of one user, or of one address; made only where a policy limits them. */
export const limiterName = (of: 'user' | 'address', key: string): string => `limiter:main:${of}:${key}`

export const topicObjectName = (topic: string): string => TOPIC + topic

/** @throws {Error} for an object that was not asked for by name, which only we could do */
export function topicOf(objectName: string | undefined): string {
  if (!objectName?.startsWith(TOPIC)) throw new Error('this object is no topic')
  return objectName.slice(TOPIC.length)
}
