// #region token
import type { AskToken } from '@messkit/sdk'

export const fetchToken: AskToken = async ({ why, signal }) => {
  const response = await fetch('/messkit-token', { method: 'POST', signal }) // your own server
  if (!response.ok) throw new Error(`no token (${why}): status ${response.status}`) // asked again later
  return response.text()
}
// #endregion
