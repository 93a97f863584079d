import type { Suggestion } from './completion'

interface Props {
  id: string
  suggestions: readonly Suggestion[]
  /** The one that Enter takes; -1 for none. */
  active: number
  typed: string
  onChoose: (text: string) => void
}

export const optionId = (list: string, index: number) => `${list}-${index}`

export function Suggestions({ id, suggestions, active, typed, onChoose }: Props) {
  // The field must keep the focus, so a press chooses before it becomes a click.
  const press = (event: MouseEvent, text: string) => {
    event.preventDefault()
    onChoose(text)
  }
  return (
    <ul id={id} class="suggestions" role="listbox" aria-label="Suggestions" hidden={suggestions.length === 0}>
      {suggestions.map((suggestion, index) => (
        <li key={suggestion.text} id={optionId(id, index)} class="suggestion" role="option" aria-selected={index === active} onMouseDown={(event) => press(event, suggestion.text)}>
          <Completed text={suggestion.text} typed={typed} />
          <span class="muted small">{noteOf(suggestion)}</span>
        </li>
      ))}
    </ul>
  )
}

function noteOf({ concept, isWording }: Suggestion): string {
  if (isWording) return concept.name
  if (concept.parts.length > 0) return concept.parts.join(' + ')
  return concept.sets.join(', ')
}

function Completed({ text, typed }: { text: string; typed: string }) {
  const wanted = typed.trim()
  const start = wanted ? text.toLowerCase().indexOf(wanted.toLowerCase()) : -1
  if (start < 0) return <span>{text}</span>
  return (
    <span>
      {text.slice(0, start)}
      <mark>{text.slice(start, start + wanted.length)}</mark>
      {text.slice(start + wanted.length)}
    </span>
  )
}
