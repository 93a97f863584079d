import { request, requestJson } from './request'
import type { SavedSegment, Scan } from './types'

export function listScans(search: string, signal?: AbortSignal): Promise<Scan[]> {
  const query = search ? `?search=${encodeURIComponent(search)}` : ''
  return requestJson<Scan[]>(`scans${query}`, signal ? { signal } : {})
}

export function getScan(id: string): Promise<Scan> {
  return requestJson<Scan>(scanPath(id))
}

export async function deleteScan(id: string): Promise<void> {
  await request(scanPath(id), { method: 'DELETE' })
}

export async function thumbnail(id: string, signal: AbortSignal): Promise<Blob> {
  return (await request(`${scanPath(id)}/thumbnail.png`, { signal })).blob()
}

export function imagePath(id: string): string {
  return `${scanPath(id)}/image.nii.gz`
}

export function labelPath(id: string, tag: string): string {
  return `${scanPath(id)}/labels/${encodeURIComponent(tag)}.nii.gz`
}

export function savedSegments(id: string, tag: string): Promise<SavedSegment[]> {
  return requestJson<SavedSegment[]>(`${scanPath(id)}/labels/${encodeURIComponent(tag)}.json`)
}

export function saveLabel(id: string, tag: string, label: Blob, segments: SavedSegment[]): Promise<Scan> {
  const form = new FormData()
  form.append('label', label, `${tag}.nii.gz`)
  form.append('segments', JSON.stringify(segments))
  return requestJson<Scan>(`${scanPath(id)}/labels/${encodeURIComponent(tag)}`, { method: 'PUT', body: form })
}

function scanPath(id: string): string {
  return `scans/${encodeURIComponent(id)}`
}
