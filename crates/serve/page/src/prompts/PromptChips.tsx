import { Icon } from '../interface/Icon'
import { colorOf } from '../interface/palette'
import { Swatch } from '../interface/Swatch'
import { clearPrompts, openPrompt, prompts, removePrompt, type Prompt } from './promptList'

export function PromptChips() {
  if (prompts.value.length === 0) return null
  return (
    <div class="chips-row">
      <ul class="chips" aria-label="Prompts">
        {prompts.value.map((prompt) => (
          <PromptChip key={prompt.key} prompt={prompt} />
        ))}
      </ul>
      {prompts.value.length > 1 && (
        <button class="link-button" onClick={clearPrompts}>
          Clear all
        </button>
      )}
    </div>
  )
}

function PromptChip({ prompt }: { prompt: Prompt }) {
  const isOpen = openPrompt.value === prompt.key
  return (
    <li class={isOpen ? 'chip open' : 'chip'}>
      <Swatch color={colorOf(prompt.name)} />
      <span class="chip-text" title={prompt.name}>
        {prompt.name}
      </span>
      {prompt.sentences.length > 0 && (
        <button class={prompt.described ? 'chip-button on' : 'chip-button'} aria-label={`Sentences of ${prompt.name}`} title="Sentences" aria-expanded={isOpen} onClick={() => (openPrompt.value = isOpen ? null : prompt.key)}>
          <Icon name="text" />
        </button>
      )}
      <button class="chip-button" aria-label={`Remove ${prompt.name}`} title="Remove" onClick={() => removePrompt(prompt.key)}>
        <Icon name="close" />
      </button>
    </li>
  )
}
