import { useState } from 'preact/hooks'
import type { ArchiveSeries, ArchiveStudy } from '../api/archive'
import { ErrorText } from '../interface/ErrorText'
import { count } from '../interface/format'
import { server } from '../session/session'
import { archiveError, awaited, fetchIntoLibrary, found, search, series, showSeries } from './archive'
import { canBeFetched, nameOf } from './archiveNames'

/** Studies of the DICOM archive, whose series become scans here. */
export function ArchiveSearch() {
  const [text, setText] = useState('')
  if (!server.value?.archive) return null
  const submit = (event: Event) => {
    event.preventDefault()
    void search(text)
  }
  return (
    <details class="archive">
      <summary>From the archive</summary>
      <form class="row" role="search" aria-label="Archive" onSubmit={submit}>
        <input id="archive-search" class="input grow" type="search" aria-label="Search the archive" placeholder="Patient, id, description" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <button class="button" disabled={awaited.value !== null}>
          Search
        </button>
      </form>
      <ErrorText text={archiveError.value} />
      <StudyList />
    </details>
  )
}

function StudyList() {
  if (awaited.value === 'search') return <p class="muted">Searching…</p>
  if (found.value === null) return null
  if (found.value.length === 0) return <p class="muted">No study matches this search.</p>
  return (
    <ul class="plain-list archive-list">
      {found.value.map((study) => (
        <Study key={study.uid} study={study} />
      ))}
    </ul>
  )
}

function Study({ study }: { study: ArchiveStudy }) {
  const list = series.value[study.uid]
  const facts = [study.date, study.modalities.join(', '), study.description].filter(Boolean).join(' · ')
  return (
    <li>
      <details onToggle={(event) => event.currentTarget.open && void showSeries(study.uid)}>
        <summary>
          <span class="study-name">{nameOf(study)}</span> <span class="muted small">{facts}</span>
        </summary>
        {awaited.value === study.uid && <p class="muted small">Loading series…</p>}
        {list && (
          <ul class="plain-list">
            {list.map((one) => (
              <Series key={one.uid} study={study.uid} series={one} />
            ))}
          </ul>
        )}
      </details>
    </li>
  )
}

function Series({ study, series: one }: { study: string; series: ArchiveSeries }) {
  const title = one.description || one.uid
  const facts = [one.modality, one.instances !== null && count(one.instances, 'image')].filter(Boolean).join(' · ')
  return (
    <li class="row between archive-series">
      <span class="study-text">
        <span class="ellipsis" title={one.uid}>
          {title}
        </span>
        <span class="muted">{facts}</span>
      </span>
      {one.in_library && <span class="tag">here</span>}
      {canBeFetched(one) && (
        <button class="button" aria-label={`Fetch ${title}`} disabled={awaited.value !== null} onClick={() => void fetchIntoLibrary(study, one.uid)}>
          {awaited.value === one.uid ? 'Fetching…' : 'Fetch'}
        </button>
      )}
    </li>
  )
}
