import type { User } from './token.ts'

/**
 * Whether a deployment's secret names this user as an administrator: by subject where the token is of the deployment's own issuer, else by
 * issuer and subject. Whoever is named there is one whatever the policy says, so nobody can lock everybody out.
 */
export function isRoot({ user, issuer }: Pick<User, 'user' | 'issuer'>, admins: string | undefined): boolean {
  const wanted = issuer === undefined ? user : `${issuer} ${user}`
  return (admins ?? '').split('\n').some((line) => line.trim() !== '' && line.trim() === wanted)
}
