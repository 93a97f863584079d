import { useId, useState } from 'preact/hooks'
import { concepts, model } from '../models/models'
import { complete } from './completion'
import { addPrompt, prompts, removePrompt, takenNames } from './promptList'
import { segment } from './segment'
import { optionId, Suggestions } from './Suggestions'

const MOST_SUGGESTIONS = 8

/** A text field with a list of completions, as the combobox pattern of WAI-ARIA describes it. */
export function PromptBox() {
  const [typed, setTyped] = useState('')
  const [isOpen, setOpen] = useState(false)
  const [active, setActive] = useState(-1)
  const listId = useId()
  const isFree = model.value?.prompted ?? true
  const suggestions = isOpen ? complete(typed, concepts.value, takenNames.value, MOST_SUGGESTIONS) : []

  const add = (text: string) => {
    addPrompt(text)
    setTyped('')
    setActive(-1)
    setOpen(false)
  }
  const addTyped = () => {
    const chosen = suggestions[active]
    if (chosen) return add(chosen.text)
    if (isFree && typed.trim()) return add(typed)
    const best = complete(typed, concepts.value, takenNames.value, 1)[0]
    if (typed.trim() && best) add(best.text)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const last = suggestions.length - 1
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      addTyped()
      void segment()
    } else if (event.key === 'Enter') addTyped()
    else if (event.key === 'ArrowDown' && isOpen) setActive(active >= last ? -1 : active + 1)
    else if (event.key === 'ArrowUp' && isOpen) setActive(active < 0 ? last : active - 1)
    else if (event.key === 'ArrowDown') setOpen(true)
    else if (event.key === 'Escape') {
      setOpen(false)
      setActive(-1)
    } else if (event.key === 'Backspace' && typed === '') removeLast()
    else return
    if (event.key !== 'Backspace') event.preventDefault()
  }

  return (
    <div class="prompt-box">
      <label class="prompt-label" for="prompt">
        What should be segmented?
      </label>
      <input
        id="prompt"
        class="input prompt-input"
        role="combobox"
        aria-autocomplete="list"
        aria-expanded={suggestions.length > 0}
        aria-controls={listId}
        aria-activedescendant={active >= 0 ? optionId(listId, active) : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder={isFree ? 'A name or a description' : 'A class of the model'}
        value={typed}
        onInput={(event) => {
          setTyped(event.currentTarget.value)
          setOpen(true)
          setActive(-1)
        }}
        onFocus={() => setOpen(prompts.value.length === 0)}
        onClick={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={onKeyDown}
      />
      <Suggestions id={listId} suggestions={suggestions} active={active} typed={typed} onChoose={add} />
    </div>
  )
}

function removeLast(): void {
  const last = prompts.value.at(-1)
  if (last) removePrompt(last.key)
}
