const EPOCH = /^[0-9a-z]{16}$/

/** The identity of one life of a log: its creation time in base 36 (9 characters) and 7 random ones. */
export function makeEpoch(nowMs: number, random: () => number): string {
  let text = Math.floor(nowMs).toString(36).padStart(9, '0').slice(-9)
  for (let i = 0; i < 7; i++) text += Math.floor(random() * 36).toString(36)
  return text
}

export function isEpoch(text: unknown): text is string {
  return typeof text === 'string' && EPOCH.test(text)
}
