import { time } from '../interface/format'
import { concepts } from '../models/models'
import { nameOf } from '../prompts/promptNames'
import { keyOf, type Source } from './source'

interface Props {
  label: string
  sources: readonly Source[]
  value: string
  /** The first entry, which chooses nothing. */
  empty: string
  onChoose: (key: string) => void
}

export function SourceSelect({ label, sources, value, empty, onChoose }: Props) {
  return (
    <label class="field inline">
      <span>{label}</span>
      <select class="input grow" value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        <option value="">{empty}</option>
        {sources.map((source) => (
          <option key={keyOf(source)} value={keyOf(source)}>
            {titleOf(source)}
          </option>
        ))}
      </select>
    </label>
  )
}

export function titleOf(source: Source): string {
  if (source.kind === 'saved') return `Saved label: ${source.tag}`
  const { job } = source
  const names = job.prompts?.map((text) => {
    const { title, note } = nameOf(text, concepts.value)
    return note ? `${title} (${note})` : title
  })
  return `${time(job.ended ?? job.created)} · ${names?.join(', ') ?? 'Default prompts'}`
}
