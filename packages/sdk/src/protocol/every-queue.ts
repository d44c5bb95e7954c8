/** Stands where a queue's name does for all of them: no queue is called so. */
export const EVERY_QUEUE = '*'
