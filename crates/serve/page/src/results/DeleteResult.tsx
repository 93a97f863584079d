import { useState } from 'preact/hooks'
import { messageOf } from '../api/request'
import type { Job } from '../api/types'
import { Dialog } from '../interface/Dialog'
import { ErrorText } from '../interface/ErrorText'
import { removeResult } from '../jobs/runs'
import { hide } from './shown'
import { titleOf } from './SourceSelect'

export function DeleteResult({ job, onClose }: { job: Job; onClose: () => void }) {
  const [error, setError] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)
  const remove = async () => {
    setBusy(true)
    try {
      await removeResult(job)
      onClose()
      hide()
    } catch (failure) {
      setError(messageOf(failure))
      setBusy(false)
    }
  }
  return (
    <Dialog title="Delete this result?" onClose={onClose}>
      <p class="muted">{titleOf({ kind: 'job', job })}</p>
      <p class="muted">Saved labels stay. This cannot be undone.</p>
      <ErrorText text={error} />
      <div class="row end">
        <button class="button" onClick={onClose}>
          Keep
        </button>
        <button class="button danger" disabled={isBusy} onClick={() => void remove()}>
          Delete
        </button>
      </div>
    </Dialog>
  )
}
