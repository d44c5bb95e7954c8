import { byId } from './dom.ts'
import { TEXT_CHARS } from './item-row.ts'

const DRAFT = 'messkit-demo draft'

/** The field in which new items are written. What cannot be taken stays in it, and what is not sent yet survives a reload. */
export function composer({ onAdd }: { onAdd: (text: string) => boolean }): void {
  const field = byId('text', 'input')
  const storage = ownStorage()
  field.maxLength = TEXT_CHARS
  field.value ||= storage?.getItem(DRAFT) ?? ''
  field.addEventListener('input', () => storage?.setItem(DRAFT, field.value))
  byId('composer', 'form').addEventListener('submit', (event) => {
    event.preventDefault()
    const text = field.value.trim()
    if (text !== '' && onAdd(text)) {
      field.value = ''
      storage?.removeItem(DRAFT)
    }
    field.focus()
  })
}

/** With a mouse there is a keyboard; on glass one would cover half of the page. */
export function focusField(): void {
  if (matchMedia('(pointer: fine)').matches) byId('text', 'input').focus({ preventScroll: true })
}

/** This tab's alone. */
function ownStorage(): Storage | undefined {
  try {
    return sessionStorage
  } catch {
    return undefined // a browser that keeps nothing for this page
  }
}
