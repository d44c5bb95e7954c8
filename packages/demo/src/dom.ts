type Tags = HTMLElementTagNameMap

/** An element of index.html. */
export function byId<K extends keyof Tags>(id: string, tag: K): Tags[K] {
  const found = document.getElementById(id)
  if (found?.localName !== tag) throw new Error(`index.html has no <${tag} id="${id}">`)
  return found as Tags[K]
}

/** A new element; texts are texts, never markup. */
export function el<K extends keyof Tags>(tag: K, className: string, ...children: (Node | string)[]): Tags[K] {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...children)
  return element
}

export function button(className: string, text: string, onClick: () => void): HTMLButtonElement {
  const element = el('button', className, text)
  element.type = 'button'
  element.addEventListener('click', onClick)
  return element
}

/** Writes only what changed, so that nothing is laid out anew for nothing. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** Puts rows in order. One that stays is not touched, so that what has the focus keeps it. */
export function arrange(list: Element, rows: readonly Element[]): void {
  const staying = new Set(rows)
  for (const row of [...list.children]) if (!staying.has(row)) row.remove()
  let at = list.firstElementChild
  for (const row of rows) {
    if (row === at) at = at.nextElementSibling
    else list.insertBefore(row, at)
  }
}

const numbers = new Intl.NumberFormat('en')
const times = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })

export const count = (value: number): string => numbers.format(value)
export const timeOfDay = (at: Date): string => times.format(at)
