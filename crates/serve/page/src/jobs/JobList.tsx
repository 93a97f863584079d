import { useState } from 'preact/hooks'
import { messageOf, sentence } from '../api/request'
import type { Job } from '../api/types'
import { ErrorText } from '../interface/ErrorText'
import { count } from '../interface/format'
import { Icon } from '../interface/Icon'
import { Progress } from '../interface/Progress'
import { concepts } from '../models/models'
import { nameOf } from '../prompts/promptNames'
import { mayWrite } from '../session/session'
import { cancel, dismiss, isFinal, runs } from './runs'

export function JobList() {
  if (runs.value.length === 0) return null
  return (
    <ul class="plain-list stack" aria-label="Jobs">
      {runs.value.map((job) => (
        <Run key={job.id} job={job} />
      ))}
    </ul>
  )
}

function Run({ job }: { job: Job }) {
  const [error, setError] = useState<string | null>(null)
  const stop = () => {
    cancel(job).catch((failure) => setError(messageOf(failure)))
  }
  return (
    <li class="run">
      <div class="row between">
        <span class="ellipsis">{titleOf(job)}</span>
        {isFinal(job) ? (
          <button class="icon-button small" aria-label="Dismiss" onClick={() => dismiss(job)}>
            <Icon name="close" />
          </button>
        ) : (
          mayWrite.value && (
            <button class="link-button" onClick={stop}>
              Cancel
            </button>
          )
        )}
      </div>
      {!isFinal(job) && <Progress label={titleOf(job)} fraction={job.progress && job.progress.total > 0 ? job.progress.done / job.progress.total : null} />}
      <span class="muted small" aria-live="polite">
        {stateOf(job)}
      </span>
      <ErrorText text={job.state === 'failed' ? sentence(job.error ?? 'the job failed') : error} />
    </li>
  )
}

function titleOf(job: Job): string {
  if (!job.prompts) return 'Default prompts'
  return job.prompts.map((text) => nameOf(text, concepts.value).title).join(', ')
}

function stateOf(job: Job): string {
  if (job.state === 'queued') return job.position ? `Waiting. ${count(job.position, 'job')} ahead.` : 'Waiting. Next in the queue.'
  if (job.state === 'running') return job.progress ? `Segmenting: ${job.progress.done} of ${job.progress.total} patches.` : 'Segmenting…'
  return job.state === 'canceled' ? 'Canceled.' : ''
}
