import { effect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { messageOf } from '../api/request'
import { comparison, differenceMap, differenceStyles, mode } from '../compare/comparison'
import { isCorrecting } from '../correct/correction'
import { tab } from '../interface/navigation'
import { loadImage, viewerCode } from '../results/labels'
import { shown, shownStyles, stylesOf } from '../results/shown'
import { opened } from '../studies/studies'
import type { LabelMap, LabelStyle } from './labelMap'
import { bringIn, isOpening, openError } from './opening'
import type { Scene } from './scene'
import { loadedScan, mainScene, noticeWindow, opacity, reading, secondScene } from './view'

interface Props {
  which: 'main' | 'second'
  caption: string | null
}

export function Canvas({ which, caption }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    const abort = new AbortController()
    if (canvas.current) void live(canvas.current, which, abort.signal)
    return () => abort.abort()
  }, [which])
  return (
    <div class="canvas-box" onPointerUp={() => setTimeout(noticeWindow)} onDblClick={() => setTimeout(noticeWindow)}>
      {caption && <span class="canvas-caption">{caption}</span>}
      <canvas ref={canvas} aria-label={caption ? `Scan with result ${caption}` : 'Scan in three planes and 3-D'} />
    </div>
  )
}

/** A scene from the mounting of its canvas to its end. */
async function live(canvas: HTMLCanvasElement, which: Props['which'], stop: AbortSignal): Promise<void> {
  isOpening.value = true
  try {
    const { Scene } = await viewerCode()
    const scene = await Scene.on(canvas)
    const stops = stop.aborted ? [] : which === 'main' ? liveAsMain(scene) : await liveAsSecond(scene)
    const close = () => {
      stops.forEach((end) => end())
      scene.close()
    }
    if (stop.aborted) close()
    else stop.addEventListener('abort', close)
  } catch (error) {
    openError.value = `The viewer could not start. ${messageOf(error)}`
    isOpening.value = false
  }
}

function liveAsMain(scene: Scene): (() => void)[] {
  mainScene.value = scene
  scene.onReading = (latest) => (reading.value = latest)
  window.viewer = { nv: scene.nv, labelAt: (i, j, k) => scene.labelAt(i, j, k) }
  return [
    effect(() => {
      const scan = opened.value
      if (scan && scan.id !== loadedScan.peek()) void bringIn(scan, scene)
    }),
    effect(() => draw(scene, mainOverlay())),
    () => (mainScene.value = null),
  ]
}

async function liveAsSecond(scene: Scene): Promise<(() => void)[]> {
  const scan = opened.value
  if (scan) await scene.showScan(await loadImage(scan), scan.modality)
  isOpening.value = false
  secondScene.value = scene
  mainScene.value?.linkTo(scene)
  // Two columns of planes need all the room.
  mainScene.value?.setRendering(false)
  scene.setRendering(false)
  return [
    effect(() => {
      const b = comparison.value?.b
      draw(scene, b ? { map: b.map, styles: stylesOf(b, new Set()) } : null)
    }),
    () => {
      mainScene.value?.unlink()
      mainScene.value?.setRendering(true)
      secondScene.value = null
    },
  ]
}

interface Overlay {
  map: LabelMap
  styles: LabelStyle[]
}

function mainOverlay(): Overlay | null {
  if (isCorrecting.value) return null
  const compared = comparison.value
  if (tab.value === 'compare' && compared) {
    if (mode.value === 'side') return { map: compared.a.map, styles: stylesOf(compared.a, new Set()) }
    return differenceMap.value && { map: differenceMap.value, styles: differenceStyles }
  }
  return shown.value && { map: shown.value.map, styles: shownStyles.value }
}

function draw(scene: Scene, overlay: Overlay | null): void {
  if (loadedScan.value === null) return
  if (overlay) scene.showLabels(overlay.map, overlay.styles, opacity.value)
  else scene.hideLabels()
}
