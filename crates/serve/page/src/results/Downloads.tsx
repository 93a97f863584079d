import { useState } from 'preact/hooks'
import { resultPath, sendToArchive, type ResultFormat } from '../api/jobs'
import { messageOf, request } from '../api/request'
import { labelPath } from '../api/scans'
import type { Scan } from '../api/types'
import { announce } from '../interface/announce'
import { ErrorText } from '../interface/ErrorText'
import { mayWrite, server } from '../session/session'
import type { Source } from './source'

const FORMATS: readonly { format: ResultFormat; title: string; dicomOnly: boolean }[] = [
  { format: 'nii.gz', title: 'NIfTI label map', dicomOnly: false },
  { format: 'nrrd', title: 'NRRD segmentation', dicomOnly: false },
  { format: 'json', title: 'JSON findings', dicomOnly: false },
  { format: 'seg.dcm', title: 'DICOM SEG', dicomOnly: true },
  { format: 'rtstruct.dcm', title: 'DICOM RTSTRUCT', dicomOnly: true },
  { format: 'sr.dcm', title: 'DICOM SR', dicomOnly: true },
]

export function Downloads({ scan, source }: { scan: Scan; source: Source }) {
  const [error, setError] = useState<string | null>(null)
  const [note, setNote] = useState('')
  const act = async (action: () => Promise<string>) => {
    setError(null)
    setNote('')
    try {
      const done = await action()
      setNote(done)
      announce(done)
    } catch (failure) {
      setError(messageOf(failure))
    }
  }
  return (
    <>
      {source.kind === 'job' ? (
        <select
          class="input button-like"
          aria-label="Download"
          value=""
          onChange={(event) => {
            const format = event.currentTarget.value as ResultFormat
            event.currentTarget.value = ''
            void act(() => download(resultPath(source.job.id, format), `${scan.id}.${format}`))
          }}
        >
          <option value="" disabled hidden>
            Download
          </option>
          {FORMATS.filter(({ dicomOnly }) => scan.dicom || !dicomOnly).map(({ format, title }) => (
            <option key={format} value={format}>
              {title}
            </option>
          ))}
        </select>
      ) : (
        <button class="button" onClick={() => void act(() => download(labelPath(scan.id, source.tag), `${scan.id}.${source.tag}.nii.gz`))}>
          Download
        </button>
      )}
      {source.kind === 'job' && scan.dicom && server.value?.archive && mayWrite.value && (
        <button class="button" onClick={() => void act(() => send(source.job.id))}>
          Send to archive
        </button>
      )}
      {note && <span class="muted small">{note}</span>}
      <ErrorText text={error} />
    </>
  )
}

async function send(job: string): Promise<string> {
  await sendToArchive(job)
  return 'Sent to the archive.'
}

async function download(path: string, name: string): Promise<string> {
  const address = URL.createObjectURL(await (await request(path)).blob())
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
  // The browser reads the address after the click has returned.
  setTimeout(() => URL.revokeObjectURL(address), 10_000)
  return `${name} is downloaded.`
}
