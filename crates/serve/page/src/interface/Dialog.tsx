import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'

interface Props {
  title: string
  onClose?: () => void
  children: ComponentChildren
}

/** The browser's own modal dialog: it keeps the focus and closes with Escape. */
export function Dialog({ title, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  const heading = useId()
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  const cancel = (event: Event) => {
    event.preventDefault()
    onClose?.()
  }
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby={heading} onCancel={cancel} onClose={() => onClose?.()}>
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  )
}
