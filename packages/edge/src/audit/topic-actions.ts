import { decodeRequest } from '@messkit/sdk/protocol'
import type { ActionsOf } from './resource-audit.ts'

/** Of frames to a topic. A subscription that begins before now reads history. */
export const topicActions =
  (topic: string): ActionsOf =>
  (text) => {
    const request = decodeRequest(text)
    if ('fault' in request || !('topic' in request.params) || request.params.topic !== topic) return []
    switch (request.method) {
      case 'publish':
        return [['publish', request.lines.count]]
      case 'history':
        return [['history', 1]]
      case 'subscribe':
        return request.params.from === 'now'
          ? [['subscribe', 1]]
          : [
              ['subscribe', 1],
              ['history', 1],
            ]
      default:
        return []
    }
  }
