import { byId } from './dom.ts'

/** The field in which messages are written. Enter sends; a message that cannot be taken stays in the field. */
export function composer({ onSend }: { onSend: (text: string) => boolean }): { focus(): void } {
  const form = byId('composer', 'form')
  const field = byId('text', 'textarea')
  const send = (): void => {
    if (field.value.trim() !== '' && onSend(field.value.trimEnd())) field.value = ''
    field.focus()
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    send()
  })
  field.addEventListener('keydown', (event) => {
    // While an input method composes, Enter takes its suggestion.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    send()
  })
  return { focus: () => field.focus() }
}
