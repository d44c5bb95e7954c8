/** The other end of a link that is there for one request: it takes the first text as the answer. */
export class Call {
  readyState: number = WebSocket.OPEN
  answer: string | undefined
  #done: (() => void) | undefined

  send(text: string): void {
    this.answer ??= text
    this.#done?.()
  }

  close(): void {
    this.readyState = WebSocket.CLOSED
    this.#done?.()
  }

  /** Resolves when there is an answer, or will be none, or the time is over. */
  async answered(waitMs: number): Promise<void> {
    if (this.answer !== undefined || this.readyState !== WebSocket.OPEN) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs)
      this.#done = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
