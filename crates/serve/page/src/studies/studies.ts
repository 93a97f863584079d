import { signal } from '@preact/signals'
import { deleteScan, getScan, listScans } from '../api/scans'
import { messageOf } from '../api/request'
import type { Scan } from '../api/types'

export const scans = signal<Scan[] | null>(null)
export const search = signal('')
export const studiesError = signal<string | null>(null)

/** The scan in the viewer. */
export const opened = signal<Scan | null>(null)

export const titleOf = (scan: Scan) => scan.description || scan.id

let listing: AbortController | null = null

export async function refreshScans(): Promise<void> {
  listing?.abort()
  listing = new AbortController()
  try {
    scans.value = await listScans(search.value.trim(), listing.signal)
    studiesError.value = null
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return
    studiesError.value = messageOf(error)
  }
}

export function openScan(scan: Scan): void {
  if (opened.value?.id === scan.id) return
  opened.value = scan
  history.replaceState(null, '', `#${encodeURIComponent(scan.id)}`)
}

/** A reload opens the same scan again. */
export async function openFromAddress(): Promise<void> {
  const id = decodeURIComponent(location.hash.slice(1))
  if (!id) return
  try {
    openScan(await getScan(id))
  } catch {
    history.replaceState(null, '', location.pathname + location.search)
  }
}

export function replaceScan(changed: Scan): void {
  scans.value = scans.value?.map((scan) => (scan.id === changed.id ? changed : scan)) ?? null
  if (opened.value?.id === changed.id) opened.value = changed
}

export async function removeScan(scan: Scan): Promise<void> {
  await deleteScan(scan.id)
  if (opened.value?.id === scan.id) {
    opened.value = null
    history.replaceState(null, '', location.pathname + location.search)
  }
  await refreshScans()
}
