import { createMess } from '@messkit/sdk'
import { onTestFinished } from 'vitest'
import { behaviour, type Place } from './behaviour.suite.ts'

const client: Place['client'] = async (options = {}) => {
  const mess = createMess(options)
  onTestFinished(async () => void (await mess.close()))
  return mess
}

behaviour({
  name: 'in the process',
  client,
  pair: async () => {
    const mess = await client()
    return [mess, mess]
  },
  messageCount: 100_000,
  topicCount: 1_000,
})
