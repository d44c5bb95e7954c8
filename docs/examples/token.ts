// #region issue
import { SignJWT } from 'jose'

/** On your own server, behind your own sign-in: a token for the user who asks. */
export function tokenFor(user: string, secret: string): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user) // the same as `user` in createMess
    .setIssuer('https://app.example.com') // TOKEN_ISSUER
    .setAudience('messkit') // TOKEN_AUDIENCE
    .setIssuedAt()
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(secret)) // TOKEN_SECRET, at least 32 bytes
}
// #endregion
