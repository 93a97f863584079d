import { computed, signal } from '@preact/signals'
import { messageOf } from '../api/request'
import type { Scan } from '../api/types'
import { colorOf, rgbOf } from '../interface/palette'
import { concepts } from '../models/models'
import { nameOf } from '../prompts/promptNames'
import { opened } from '../studies/studies'
import type { LabelStyle } from '../viewer/labelMap'
import { mainScene } from '../viewer/view'
import { loadLabels, type LoadedLabels } from './labels'
import { middleOf } from './segments'
import { keyOf, type Source } from './source'

/** The label map over the scan. */
export const shown = signal<LoadedLabels | null>(null)
export const shownError = signal<string | null>(null)
export const isLoadingLabels = signal(false)

/** Values of segments that are switched off. */
export const hidden = signal<ReadonlySet<number>>(new Set())

export const shownKey = computed(() => (shown.value ? keyOf(shown.value.source) : ''))

export const shownStyles = computed(() => (shown.value ? stylesOf(shown.value, hidden.value) : []))

export function stylesOf({ segments }: LoadedLabels, off: ReadonlySet<number>): LabelStyle[] {
  return segments
    .filter(({ found }) => found)
    .map(({ name, value }) => {
      const { title } = nameOf(name, concepts.value)
      return { value, name: title, rgb: rgbOf(colorOf(title)), visible: !off.has(value) }
    })
}

let latest = ''

export async function show(scan: Scan, source: Source): Promise<void> {
  latest = `${scan.id} ${keyOf(source)}`
  const mine = latest
  isLoadingLabels.value = true
  shownError.value = null
  try {
    const labels = await loadLabels(scan, source)
    if (mine !== latest || opened.value?.id !== scan.id) return
    hidden.value = new Set()
    shown.value = labels
  } catch (error) {
    if (mine === latest) shownError.value = messageOf(error)
  } finally {
    if (mine === latest) isLoadingLabels.value = false
  }
}

export function hide(): void {
  latest = ''
  shown.value = null
  shownError.value = null
  isLoadingLabels.value = false
}

export function toggleSegment(value: number): void {
  const next = new Set(hidden.value)
  if (!next.delete(value)) next.add(value)
  hidden.value = next
}

export function toggleAll(): void {
  const values = shown.value?.segments.map(({ value }) => value) ?? []
  hidden.value = hidden.value.size > 0 ? new Set() : new Set(values)
}

export function goTo(value: number): void {
  const map = shown.value?.map
  const middle = map && middleOf(map.voxels, map.shape, value)
  if (middle) mainScene.value?.moveCrosshairTo(middle)
}
