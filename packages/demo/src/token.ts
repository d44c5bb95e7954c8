import type { AskToken } from '@messkit/sdk'
import type { Cable } from './cable.ts'

/** Asks the development server who we are. A real application asks its own server here. */
export function devToken({
  user,
  cable,
  onTrouble,
}: {
  user: string
  cable: Cable
  onTrouble: (text: string) => void
}): AskToken {
  return async ({ signal }) => {
    if (!cable.plugged) throw new TypeError('The cable is out')
    const response = await fetch('/dev/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user }),
      signal,
    })
    if (!response.ok) {
      onTrouble(`This server gives no tokens to this page (${response.status}). The demo runs with npm start.`)
      throw new Error(`POST /dev/token answered ${response.status}`)
    }
    const { token } = (await response.json()) as { token: string }
    return token
  }
}
