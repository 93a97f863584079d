import { useEffect } from 'preact/hooks'
import { applyToDrawing, isCorrecting } from '../correct/correction'
import { studiesAreOpen, tab } from '../interface/navigation'
import { comparison, mode } from '../compare/comparison'
import { opened } from '../studies/studies'
import { Canvas } from './Canvas'
import { isOpening, openError } from './opening'
import { Readout } from './Readout'
import { Toolbar } from './Toolbar'
import { applyToScenes } from './view'

export function Viewer() {
  useEffect(() => {
    const stops = [applyToScenes(), applyToDrawing()]
    return () => stops.forEach((stop) => stop())
  }, [])
  const isSideBySide = tab.value === 'compare' && comparison.value !== null && mode.value === 'side'
  return (
    <main class="viewer">
      {opened.value ? (
        <>
          <Toolbar />
          <div class="canvases">
            <Canvas which="main" caption={isSideBySide ? 'A' : null} />
            {isSideBySide && <Canvas which="second" caption="B" />}
            {isOpening.value && (
              <p class="stage-note" role="status">
                Loading the scan…
              </p>
            )}
            {openError.value && (
              <p class="stage-note error" role="alert">
                {openError.value}
              </p>
            )}
            {isCorrecting.value && <p class="stage-banner">Correcting</p>}
          </div>
          <Readout />
        </>
      ) : (
        <Welcome />
      )}
    </main>
  )
}

function Welcome() {
  return (
    <div class="welcome">
      <h2>Segment a scan with words</h2>
      <ol>
        <li>Open a study, or drop one anywhere on this page.</li>
        <li>Type what to look for, such as the name of an organ.</li>
        <li>Check the overlay, correct it, and save or download it.</li>
      </ol>
      <button class="button primary studies-toggle" onClick={() => (studiesAreOpen.value = true)}>
        Open studies
      </button>
    </div>
  )
}
