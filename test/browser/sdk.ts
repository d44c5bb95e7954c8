/** What a page of the tests has. */
export * from '../../packages/sdk/src/cipher/index.ts'
export * from '../../packages/sdk/src/index.ts'
export { createQueue, queueNames, work } from '../../packages/sdk/src/queue.ts'
