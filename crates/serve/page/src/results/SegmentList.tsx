import type { Segment } from '../api/types'
import { milliliters, percent } from '../interface/format'
import { Icon } from '../interface/Icon'
import { colorOf } from '../interface/palette'
import { Swatch } from '../interface/Swatch'
import { concepts } from '../models/models'
import { nameOf } from '../prompts/promptNames'
import { opacity } from '../viewer/view'
import { goTo, hidden, shown, toggleAll, toggleSegment } from './shown'

export function SegmentList() {
  const segments = shown.value?.segments ?? []
  const found = segments.filter((segment) => segment.found)
  return (
    <>
      {segments.length === 0 && <p class="muted">This label map is empty.</p>}
      <ul class="plain-list segments" aria-label="Segments">
        {segments.map((segment) => (segment.found ? <FoundSegment key={segment.value} segment={segment} /> : <MissingSegment key={segment.value} segment={segment} />))}
      </ul>
      {found.length > 0 && (
        <div class="row">
          <label class="field inline grow">
            <span>Opacity</span>
            <input id="opacity" class="slider" type="range" min={0} max={1} step={0.05} value={opacity.value} onInput={(event) => (opacity.value = event.currentTarget.valueAsNumber)} />
          </label>
          {found.length > 1 && (
            <button class="link-button" onClick={toggleAll}>
              {hidden.value.size > 0 ? 'Show all' : 'Hide all'}
            </button>
          )}
        </div>
      )}
    </>
  )
}

function FoundSegment({ segment }: { segment: Segment }) {
  const { title, note } = nameOf(segment.name, concepts.value)
  return (
    <li class="segment">
      <label class="segment-name" title={segment.name}>
        <input type="checkbox" checked={!hidden.value.has(segment.value)} onChange={() => toggleSegment(segment.value)} />
        <Swatch color={colorOf(title)} />
        <span>
          {title}
          {note && <span class="muted small"> {note}</span>}
        </span>
      </label>
      <span class="segment-numbers">
        <span>{milliliters(segment.volume_ml)}</span>
        {segment.presence !== null && (
          <span class="muted small" title="Presence: how certain the model is that the scan contains it">
            presence {percent(segment.presence)}
          </span>
        )}
      </span>
      <button class="icon-button small" aria-label={`Go to ${title}`} title="Move the crosshair there" onClick={() => goTo(segment.value)}>
        <Icon name="target" />
      </button>
    </li>
  )
}

function MissingSegment({ segment }: { segment: Segment }) {
  const { title, note } = nameOf(segment.name, concepts.value)
  return (
    <li class="segment missing">
      <span class="segment-name" title={segment.name}>
        <span class="swatch empty" aria-hidden="true" />
        <span>
          {title}
          {note && <span class="muted small"> {note}</span>}
        </span>
      </span>
      <span class="segment-numbers">
        <span class="not-found">Not found</span>
        {segment.presence !== null && <span class="muted small">presence {percent(segment.presence)}</span>}
      </span>
    </li>
  )
}
