import { useState } from 'preact/hooks'
import { Dialog } from '../interface/Dialog'
import { ErrorText } from '../interface/ErrorText'
import { Icon, type IconName } from '../interface/Icon'
import { mayWrite } from '../session/session'
import { shown } from '../results/shown'
import { titleOf } from '../results/SourceSelect'
import { opened } from '../studies/studies'
import { loadedScan, opacity } from '../viewer/view'
import { activeValue, correctError, drawing, isCorrecting, isSaving, pen, penSize, saveCorrection, startCorrecting, stopCorrecting, strokes } from './correction'
import { CorrectedSegments } from './CorrectedSegments'
import type { Pen } from './drawing'

const PENS: readonly { pen: Pen; title: string; icon: IconName }[] = [
  { pen: 'brush', title: 'Brush', icon: 'brush' },
  { pen: 'fill', title: 'Fill', icon: 'fill' },
  { pen: 'eraser', title: 'Eraser', icon: 'eraser' },
]

export function CorrectPanel() {
  return (
    <section class="section" aria-label="Correction">
      {isCorrecting.value ? <Editor /> : <Start />}
      <ErrorText text={correctError.value} />
    </section>
  )
}

function Start() {
  if (!mayWrite.value) return <p class="muted">Your token may view labels, not change them.</p>
  if (!loadedScan.value) return <p class="muted">Open a scan to correct its label.</p>
  return (
    <>
      <p class="muted">
        {shown.value ? `Starts from: ${titleOf(shown.value.source)}. ` : 'Starts from an empty label. '}
        The result stays as it is; the correction is saved beside the scan as label “final”.
      </p>
      <div class="row">
        <button class="button primary" onClick={() => void startCorrecting()}>
          Start correcting
        </button>
      </div>
    </>
  )
}

function Editor() {
  return (
    <>
      <CorrectedSegments />
      <div class="button-group wide" role="group" aria-label="Pen">
        {PENS.map(({ pen: name, title, icon }) => (
          <button key={name} class="button" aria-pressed={pen.value === name} onClick={() => (pen.value = name)}>
            <Icon name={icon} /> {title}
          </button>
        ))}
      </div>
      <label class="field inline">
        <span>Size</span>
        <input id="pen-size" class="slider" type="range" min={1} max={25} value={penSize.value} disabled={pen.value === 'fill'} onInput={(event) => (penSize.value = event.currentTarget.valueAsNumber)} />
        <output class="mono">{penSize.value}</output>
      </label>
      <label class="field inline">
        <span>Opacity</span>
        <input class="slider" type="range" min={0} max={1} step={0.05} value={opacity.value} onInput={(event) => (opacity.value = event.currentTarget.valueAsNumber)} />
      </label>
      <p class="muted small">{hintOf(pen.value)}</p>
      <Actions />
    </>
  )
}

function hintOf(chosen: Pen): string {
  if (activeValue.value === 0 && chosen !== 'eraser') return 'Add a segment to draw.'
  if (chosen === 'fill') return 'Draw an outline in one plane. Its inside is filled.'
  if (chosen === 'eraser') return 'Drag in a plane to erase.'
  return 'Drag in a plane to draw. The wheel changes the slice.'
}

function Actions() {
  const [isDiscarding, setDiscarding] = useState(false)
  const scan = opened.value
  const discard = () => (strokes.value > 0 ? setDiscarding(true) : stopCorrecting())
  return (
    <>
      <div class="row">
        <button class="button" disabled={strokes.value === 0} onClick={() => drawing.value?.undo()}>
          <Icon name="undo" /> Undo
        </button>
        <span class="grow" />
        <button class="button" onClick={discard}>
          Discard
        </button>
        <button class="button primary" disabled={isSaving.value} onClick={() => scan && void saveCorrection(scan)}>
          {isSaving.value ? 'Saving…' : 'Save label'}
        </button>
      </div>
      {isDiscarding && (
        <Dialog title="Discard the correction?" onClose={() => setDiscarding(false)}>
          <p class="muted">What you drew is lost. The result that you started from stays.</p>
          <div class="row end">
            <button class="button" onClick={() => setDiscarding(false)}>
              Keep drawing
            </button>
            <button class="button danger" onClick={stopCorrecting}>
              Discard
            </button>
          </div>
        </Dialog>
      )}
    </>
  )
}
