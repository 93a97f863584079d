import { useState } from 'preact/hooks'
import type { Scan } from '../api/types'
import { ErrorText } from '../interface/ErrorText'
import { Icon } from '../interface/Icon'
import { tab } from '../interface/navigation'
import { results } from '../jobs/runs'
import { mayWrite } from '../session/session'
import { opened } from '../studies/studies'
import { DeleteResult } from './DeleteResult'
import { Downloads } from './Downloads'
import { SegmentList } from './SegmentList'
import { SourceSelect } from './SourceSelect'
import { hide, isLoadingLabels, show, shown, shownError, shownKey } from './shown'
import { keyOf, sourcesOf, type Source } from './source'

export function Results() {
  const scan = opened.value
  if (!scan) return null
  const sources = sourcesOf(scan, results.value)
  return (
    <section class="section" aria-label="Results">
      <h2>Results</h2>
      {sources.length === 0 ? (
        <p class="muted">Nothing is segmented yet.</p>
      ) : (
        <SourceSelect label="Overlay" sources={sources} value={shownKey.value} empty="No overlay" onChoose={(key) => chooseOverlay(scan, key)} />
      )}
      <ErrorText text={shownError.value} />
      {isLoadingLabels.value && <p class="muted small">Loading the label map…</p>}
      {shown.value && (
        <>
          <SegmentList />
          <div class="row wrap">
            {mayWrite.value && (
              <button class="button" onClick={() => (tab.value = 'correct')}>
                Correct
              </button>
            )}
            <Downloads scan={scan} source={shown.value.source} />
            {mayWrite.value && <DeleteButton source={shown.value.source} />}
          </div>
        </>
      )}
    </section>
  )
}

function DeleteButton({ source }: { source: Source }) {
  const [isDeleting, setDeleting] = useState(false)
  if (source.kind !== 'job') return null
  return (
    <>
      <button class="icon-button" aria-label="Delete this result" title="Delete this result" onClick={() => setDeleting(true)}>
        <Icon name="trash" />
      </button>
      {isDeleting && <DeleteResult job={source.job} onClose={() => setDeleting(false)} />}
    </>
  )
}

function chooseOverlay(scan: Scan, key: string): void {
  const source = sourcesOf(scan, results.value).find((candidate) => keyOf(candidate) === key)
  if (source) void show(scan, source)
  else hide()
}
