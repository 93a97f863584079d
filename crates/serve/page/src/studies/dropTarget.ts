import { signal } from '@preact/signals'
import { messageOf } from '../api/request'
import { mayWrite } from '../session/session'
import { filesOf } from './droppedFiles'
import { sendFiles, uploadError } from './uploading'

export const isDraggingFiles = signal(false)

/** Files may be dropped anywhere on the page. */
export function listenToDrops(): () => void {
  const abort = new AbortController()
  const { signal: stop } = abort
  const hasFiles = (event: DragEvent) => mayWrite.value && (event.dataTransfer?.types.includes('Files') ?? false)
  document.addEventListener(
    'dragover',
    (event) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      isDraggingFiles.value = true
    },
    { signal: stop },
  )
  document.addEventListener('dragleave', (event) => { if (event.relatedTarget === null) isDraggingFiles.value = false }, { signal: stop })
  document.addEventListener(
    'drop',
    (event) => {
      isDraggingFiles.value = false
      if (!hasFiles(event) || !event.dataTransfer) return
      event.preventDefault()
      filesOf(event.dataTransfer).then(sendFiles, (error) => (uploadError.value = messageOf(error)))
    },
    { signal: stop },
  )
  return () => abort.abort()
}
