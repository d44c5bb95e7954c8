import * as v from 'valibot'
import { Count } from './scalars.ts'

/** Client → broker: a newer token for the same issuer and subject. Frames are judged by the identity at their arrival. */
export const AuthenticateParams = v.object({ token: v.pipe(v.string(), v.minLength(1)) })
export const AuthenticateResult = v.object({ expiresInMs: v.optional(Count) })

export type AuthenticateParams = v.InferOutput<typeof AuthenticateParams>
export type AuthenticateResult = v.InferOutput<typeof AuthenticateResult>
