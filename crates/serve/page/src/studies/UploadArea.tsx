import { useRef } from 'preact/hooks'
import { ErrorText } from '../interface/ErrorText'
import { percent } from '../interface/format'
import { Icon } from '../interface/Icon'
import { Progress } from '../interface/Progress'
import { isDraggingFiles } from './dropTarget'
import { sendFiles, upload, uploadError } from './uploading'

export function UploadArea() {
  return (
    <section class={isDraggingFiles.value ? 'upload dragging' : 'upload'} aria-label="Upload">
      <ErrorText text={uploadError.value} />
      {upload.value ? <Uploading /> : <Choosers />}
    </section>
  )
}

function Uploading() {
  if (!upload.value) return null
  const { title, fraction, cancel } = upload.value
  return (
    <div class="stack">
      <span class="row between">
        <span class="ellipsis">{title}</span>
        <span class="muted">{fraction < 1 ? percent(fraction) : 'Reading…'}</span>
      </span>
      <Progress label="Upload" fraction={fraction < 1 ? fraction : null} />
      <button class="button" onClick={cancel}>
        Cancel upload
      </button>
    </div>
  )
}

function Choosers() {
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  const send = (input: HTMLInputElement) => {
    void sendFiles([...(input.files ?? [])])
    input.value = ''
  }
  return (
    <>
      <div class="row">
        <button class="button grow" onClick={() => files.current?.click()}>
          <Icon name="upload" /> Upload
        </button>
        <button class="button" onClick={() => folder.current?.click()}>
          DICOM folder
        </button>
      </div>
      <p class="muted small">Drop NIfTI, NRRD, MetaImage, zip or a DICOM folder anywhere.</p>
      <input ref={files} id="upload-files" type="file" multiple hidden aria-label="Files to upload" onChange={(event) => send(event.currentTarget)} />
      <input ref={folder} id="upload-folder" type="file" hidden aria-label="Folder to upload" {...{ webkitdirectory: true }} onChange={(event) => send(event.currentTarget)} />
    </>
  )
}
