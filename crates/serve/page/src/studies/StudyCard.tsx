import { useState } from 'preact/hooks'
import { messageOf } from '../api/request'
import type { Scan } from '../api/types'
import { correctError, isCorrecting, stopCorrecting, strokes } from '../correct/correction'
import { Dialog } from '../interface/Dialog'
import { ErrorText } from '../interface/ErrorText'
import { bytes, time } from '../interface/format'
import { Icon } from '../interface/Icon'
import { studiesAreOpen } from '../interface/navigation'
import { mayDeleteScans } from '../session/session'
import { opened, openScan, removeScan, titleOf } from './studies'
import { Thumbnail } from './Thumbnail'

export function StudyCard({ scan }: { scan: Scan }) {
  const [isDeleting, setDeleting] = useState(false)
  return (
    <li class="study">
      <button class="study-open" aria-current={opened.value?.id === scan.id} onClick={() => openUnlessCorrecting(scan)}>
        <Thumbnail scan={scan.id} />
        <span class="study-text">
          <span class="study-name" title={scan.id}>
            {titleOf(scan)}
          </span>
          <span class="muted">{[scan.modality, scan.shape.join(' × ')].filter(Boolean).join(' · ')}</span>
          <span class="muted">
            {time(scan.created)}
            {scan.labels.length > 0 && <span class="tag">{scan.labels.join(', ')}</span>}
          </span>
        </span>
      </button>
      {mayDeleteScans.value && (
        <button class="icon-button study-delete" aria-label={`Delete ${titleOf(scan)}`} title="Delete" onClick={() => setDeleting(true)}>
          <Icon name="trash" />
        </button>
      )}
      {isDeleting && <DeleteDialog scan={scan} onClose={() => setDeleting(false)} />}
    </li>
  )
}

function openUnlessCorrecting(scan: Scan): void {
  if (isCorrecting.value && strokes.value > 0) {
    correctError.value = 'Save or discard the correction before you open another scan.'
    return
  }
  stopCorrecting()
  studiesAreOpen.value = false
  openScan(scan)
}

function DeleteDialog({ scan, onClose }: { scan: Scan; onClose: () => void }) {
  const [error, setError] = useState<string | null>(null)
  const remove = () => {
    removeScan(scan).then(onClose, (failure) => setError(messageOf(failure)))
  }
  return (
    <Dialog title={`Delete ${titleOf(scan)}?`} onClose={onClose}>
      <p class="muted">The scan ({bytes(scan.bytes)}), its results and its labels are deleted. This cannot be undone.</p>
      <ErrorText text={error} />
      <div class="row end">
        <button class="button" onClick={onClose}>
          Keep
        </button>
        <button class="button danger" onClick={remove}>
          Delete
        </button>
      </div>
    </Dialog>
  )
}
