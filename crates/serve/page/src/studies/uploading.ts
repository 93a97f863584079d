import { signal } from '@preact/signals'
import { messageOf } from '../api/request'
import { uploadScans } from '../api/upload'
import { bytes, count } from '../interface/format'
import { announce } from '../interface/announce'
import { server } from '../session/session'
import { openScan, refreshScans } from './studies'

export interface Upload {
  title: string
  fraction: number
  cancel: () => void
}

export const upload = signal<Upload | null>(null)
export const uploadError = signal<string | null>(null)

export async function sendFiles(files: File[]): Promise<void> {
  if (files.length === 0 || upload.value) return
  uploadError.value = tooLarge(files)
  if (uploadError.value) return
  const abort = new AbortController()
  const title = files.length === 1 ? (files[0]?.name ?? '') : count(files.length, 'file')
  const report = (fraction: number) => {
    upload.value = { title, fraction, cancel: () => abort.abort() }
  }
  report(0)
  try {
    const added = await uploadScans(files, report, abort.signal)
    await refreshScans()
    announce(`${count(added.length, 'scan')} added.`)
    if (added[0]) openScan(added[0])
  } catch (error) {
    if (!abort.signal.aborted) uploadError.value = messageOf(error)
  } finally {
    upload.value = null
  }
}

function tooLarge(files: File[]): string | null {
  const limit = server.value?.upload_limit ?? Infinity
  const total = files.reduce((sum, file) => sum + file.size, 0)
  return total > limit ? `The files have ${bytes(total)}; the server accepts ${bytes(limit)}.` : null
}
