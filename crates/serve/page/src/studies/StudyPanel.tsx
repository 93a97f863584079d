import { useEffect } from 'preact/hooks'
import { ErrorText } from '../interface/ErrorText'
import { Icon } from '../interface/Icon'
import { studiesAreOpen } from '../interface/navigation'
import { mayWrite } from '../session/session'
import { refreshScans, scans, search, studiesError } from './studies'
import { StudyCard } from './StudyCard'
import { ArchiveSearch } from './ArchiveSearch'
import { UploadArea } from './UploadArea'
import { listenToDrops } from './dropTarget'

const TYPING_PAUSE_MS = 200

export function StudyPanel() {
  useEffect(() => listenToDrops(), [])
  return (
    <nav class={studiesAreOpen.value ? 'studies open' : 'studies'} aria-label="Studies">
      <div class="studies-head">
        <h2>Studies</h2>
        <SearchBox />
      </div>
      <div class="studies-list">
        <ErrorText text={studiesError.value} />
        <StudyList />
      </div>
      {mayWrite.value && <ArchiveSearch />}
      {mayWrite.value && <UploadArea />}
    </nav>
  )
}

function SearchBox() {
  useEffect(() => {
    if (scans.peek() === null) return
    const timer = setTimeout(() => void refreshScans(), TYPING_PAUSE_MS)
    return () => clearTimeout(timer)
  }, [search.value])
  return (
    <div class="search">
      <Icon name="search" />
      <input id="study-search" class="input" type="search" aria-label="Search studies" placeholder="Search" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
    </div>
  )
}

function StudyList() {
  if (scans.value === null) return studiesError.value ? null : <p class="muted pad">Loading studies…</p>
  if (scans.value.length === 0) {
    return <p class="muted pad">{search.value ? 'No study matches this search.' : 'No studies yet. Upload the first one below.'}</p>
  }
  return (
    <ul class="plain-list">
      {scans.value.map((scan) => (
        <StudyCard key={scan.id} scan={scan} />
      ))}
    </ul>
  )
}
