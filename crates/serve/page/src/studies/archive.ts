import { signal } from '@preact/signals'
import { fetchSeries, findStudies, seriesOf, type ArchiveSeries, type ArchiveStudy } from '../api/archive'
import { messageOf } from '../api/request'
import { announce } from '../interface/announce'
import { count } from '../interface/format'
import { openScan, refreshScans } from './studies'

/** Studies that were found; null before the first search. */
export const found = signal<ArchiveStudy[] | null>(null)
/** The series of the studies that were opened, by the uid of their study. */
export const series = signal<Record<string, ArchiveSeries[]>>({})
/** What is waited for: a search, or the uid of a study or series. */
export const awaited = signal<string | null>(null)
export const archiveError = signal<string | null>(null)

export async function search(text: string): Promise<void> {
  await wait('search', async () => {
    found.value = await findStudies(text.trim())
    series.value = {}
    announce(`${count(found.value.length, 'study', 'studies')} found in the archive.`)
  })
}

export async function showSeries(study: string): Promise<void> {
  if (series.peek()[study]) return
  await wait(study, async () => {
    const list = await seriesOf(study)
    series.value = { ...series.peek(), [study]: list }
  })
}

export async function fetchIntoLibrary(study: string, uid: string): Promise<void> {
  await wait(uid, async () => {
    const scans = await fetchSeries(uid)
    const list = series.peek()[study] ?? []
    series.value = { ...series.peek(), [study]: list.map((one) => (one.uid === uid ? { ...one, in_library: true } : one)) }
    await refreshScans()
    announce(`${count(scans.length, 'scan')} fetched from the archive.`)
    if (scans[0]) openScan(scans[0])
  })
}

async function wait(what: string, action: () => Promise<void>): Promise<void> {
  if (awaited.value) return
  awaited.value = what
  archiveError.value = null
  try {
    await action()
  } catch (error) {
    archiveError.value = messageOf(error)
  } finally {
    awaited.value = null
  }
}
