import { computed, effect, signal } from '@preact/signals'
import { messageOf } from '../api/request'
import { saveLabel } from '../api/scans'
import type { SavedSegment, Scan } from '../api/types'
import { announce } from '../interface/announce'
import { colorOf, rgbOf } from '../interface/palette'
import { tab } from '../interface/navigation'
import { concepts } from '../models/models'
import { nameOf } from '../prompts/promptNames'
import { show, shown } from '../results/shown'
import { opened, replaceScan } from '../studies/studies'
import { mainScene, opacity } from '../viewer/view'
import type { Drawing, Pen } from './drawing'

/** The tag under which a corrected label is saved. */
const TAG = 'final'
const LARGEST_VALUE = 255

export const drawing = signal<Drawing | null>(null)
export const segments = signal<SavedSegment[]>([])
export const activeValue = signal(1)
export const pen = signal<Pen>('brush')
export const penSize = signal(5)
export const strokes = signal(0)
export const isSaving = signal(false)
export const correctError = signal<string | null>(null)

export const isCorrecting = computed(() => drawing.value !== null)

/** Starts from the shown label map, or from an empty one. */
export async function startCorrecting(): Promise<void> {
  const scene = mainScene.value
  if (!scene || drawing.value) return
  correctError.value = null
  const start = shown.value
  try {
    const named = start?.segments.map(({ name, value }) => ({ name: nameOf(name, concepts.value).title, value })) ?? []
    if (named.some(({ value }) => value > LARGEST_VALUE)) throw new Error(`Only label values up to ${LARGEST_VALUE} can be corrected.`)
    const { Drawing } = await import('./drawing')
    drawing.value = new Drawing(scene, start?.map ?? null, (count) => (strokes.value = count))
    segments.value = named
    activeValue.value = named[0]?.value ?? 0
    strokes.value = 0
    pen.value = 'brush'
  } catch (error) {
    correctError.value = messageOf(error)
  }
}

export function stopCorrecting(): void {
  drawing.value?.close()
  drawing.value = null
  segments.value = []
}

export function addSegment(text: string): void {
  const name = text.trim()
  if (!name || segments.value.some((segment) => segment.name === name)) return
  const used = new Set(segments.value.map(({ value }) => value))
  let value = 1
  while (used.has(value)) value += 1
  if (value > LARGEST_VALUE) {
    correctError.value = `A label map has at most ${LARGEST_VALUE} segments.`
    return
  }
  segments.value = [...segments.value, { name, value }]
  activeValue.value = value
  if (pen.value === 'eraser') pen.value = 'brush'
}

export async function saveCorrection(scan: Scan): Promise<void> {
  if (!drawing.value) return
  isSaving.value = true
  correctError.value = null
  try {
    const saved = await saveLabel(scan.id, TAG, await drawing.value.file(), segments.value)
    replaceScan(saved)
    stopCorrecting()
    tab.value = 'segment'
    announce('Label saved.')
    if (opened.value?.id === scan.id) await show(saved, { kind: 'saved', tag: TAG })
  } catch (error) {
    correctError.value = messageOf(error)
  } finally {
    isSaving.value = false
  }
}

/** Keeps pen and colors of the drawing as they are chosen, and the page from closing over unsaved strokes. */
export function applyToDrawing(): () => void {
  const stops = [
    effect(() => drawing.value?.setPen(activeValue.value === 0 ? 'eraser' : pen.value, activeValue.value, penSize.value)),
    effect(() => {
      const styles = segments.value.map(({ name, value }) => ({ name, value, rgb: rgbOf(colorOf(name)), visible: true }))
      drawing.value?.setColors(styles, opacity.value)
    }),
  ]
  const warn = (event: BeforeUnloadEvent) => {
    if (isCorrecting.value && strokes.value > 0) event.preventDefault()
  }
  window.addEventListener('beforeunload', warn)
  return () => {
    stops.forEach((stop) => stop())
    window.removeEventListener('beforeunload', warn)
  }
}
