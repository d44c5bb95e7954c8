/** Small things that this page keeps in the browser, shared by its tabs. */
export interface Kept {
  get(key: string): string | undefined
  set(key: string, value: string): void
  remove(key: string): void
  /** Another tab has changed something. */
  onChange(listener: (key: string, value: string | undefined) => void): void
}

const PREFIX = 'messkit-demo '

export function openKept(): Kept {
  try {
    return inStorage(localStorage)
  } catch {
    // A browser that keeps nothing for this page; each tab is by itself then.
    return inMemory()
  }
}

function inStorage(storage: Storage): Kept {
  return {
    get: (key) => storage.getItem(PREFIX + key) ?? undefined,
    set(key, value) {
      try {
        storage.setItem(PREFIX + key, value)
      } catch {} // full: what is kept here makes the page nicer, and nothing depends on it
    },
    remove: (key) => storage.removeItem(PREFIX + key),
    onChange: (listener) =>
      addEventListener('storage', ({ key, newValue }) => {
        if (key?.startsWith(PREFIX)) listener(key.slice(PREFIX.length), newValue ?? undefined)
      }),
  }
}

function inMemory(): Kept {
  const values = new Map<string, string>()
  return {
    get: (key) => values.get(key),
    set: (key, value) => void values.set(key, value),
    remove: (key) => void values.delete(key),
    onChange: () => {},
  }
}
