import { computed } from '@preact/signals'
import { segments as correctedSegments, isCorrecting } from '../correct/correction'
import { worldPosition } from '../interface/format'
import { colorOf } from '../interface/palette'
import { Swatch } from '../interface/Swatch'
import { concepts } from '../models/models'
import { nameOf } from '../prompts/promptNames'
import { shown } from '../results/shown'
import { isCt, reading } from './view'

const labelName = computed(() => {
  const value = reading.value?.label ?? 0
  if (value === 0) return null
  const segments = isCorrecting.value ? correctedSegments.value : (shown.value?.segments ?? [])
  const name = segments.find((segment) => segment.value === value)?.name
  return name ? nameOf(name, concepts.value).title : `Label ${value}`
})

/** What is under the crosshair, and which side is which. */
export function Readout() {
  const { world, intensity } = reading.value ?? {}
  const unit = isCt.value ? ' HU' : ''
  return (
    <div class="readout">
      {world && <span class="mono">{worldPosition(world)} mm</span>}
      {intensity !== undefined && (
        <span class="mono">
          {Number.isInteger(intensity) ? intensity : intensity.toFixed(2)}
          {unit}
        </span>
      )}
      {labelName.value && (
        <span class="readout-label">
          <Swatch color={colorOf(labelName.value)} /> {labelName.value}
        </span>
      )}
      <span class="grow" />
      <span class="muted ellipsis" title="The patient’s right side is on the left of the picture, as if seen from the feet">
        Radiological: R is on the left
      </span>
    </div>
  )
}
