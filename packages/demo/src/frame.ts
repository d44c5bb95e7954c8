/** Long enough to cost nothing, short enough that a hidden tab's title is right when somebody looks. */
const HIDDEN_MS = 250

/** Runs a task at most once per frame, however often it is asked for. A hidden page has no frames; there a timer stands in. */
export function perFrame(task: () => void): () => void {
  let asked = false
  return () => {
    if (asked) return
    asked = true
    const run = (): void => {
      asked = false
      cancelAnimationFrame(frame)
      clearTimeout(timer)
      task()
    }
    const frame = requestAnimationFrame(run)
    const timer = setTimeout(run, HIDDEN_MS)
  }
}
