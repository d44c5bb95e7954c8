import type { Case } from './case.ts'
import { fieldCases } from './cases/fields.ts'
import { frameCases } from './cases/frames.ts'
import { httpCases } from './cases/http.ts'
import { payloadCases } from './cases/payloads.ts'
import { requestCases } from './cases/requests.ts'
import { type TokenKeys, tokenCases } from './cases/tokens.ts'
import { websocketCases } from './cases/websocket.ts'

/** Every case, in the order in which they are played: some build on what an earlier one stored. */
export async function makeCorpus(keys: TokenKeys, goodToken: string): Promise<readonly Case[]> {
  return [
    ...httpCases(goodToken),
    ...(await tokenCases(keys, goodToken)),
    ...frameCases(),
    ...fieldCases(),
    ...requestCases(),
    ...payloadCases(),
    ...websocketCases(),
  ]
}
