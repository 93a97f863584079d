import { token } from '../session/token'
import { detailOf, RequestError } from './request'
import type { Scan } from './types'

/** `fetch` cannot report the progress of a request body, so this is an XMLHttpRequest. */
export function uploadScans(files: File[], onProgress: (fraction: number) => void, signal: AbortSignal): Promise<Scan[]> {
  const form = new FormData()
  for (const file of files) form.append('file', file, file.name)
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest()
    xhr.open('POST', 'api/scans')
    if (token.value) xhr.setRequestHeader('Authorization', `Bearer ${token.value}`)
    xhr.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total)
    }
    xhr.onerror = () => reject(new RequestError(0, 'The upload was interrupted.'))
    xhr.onabort = () => reject(new DOMException('Upload canceled', 'AbortError'))
    xhr.onload = () => {
      if (xhr.status === 201) resolve(JSON.parse(xhr.responseText) as Scan[])
      else reject(new RequestError(xhr.status, detailOf(xhr.status, xhr.responseText)))
    }
    signal.addEventListener('abort', () => xhr.abort())
    xhr.send(form)
  })
}
