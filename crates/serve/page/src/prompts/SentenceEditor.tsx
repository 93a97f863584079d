import { compare, mode } from '../compare/comparison'
import { Icon } from '../interface/Icon'
import { tab } from '../interface/navigation'
import { mayWrite } from '../session/session'
import { opened } from '../studies/studies'
import { changePrompt, changeSentence, openPrompt, prompts, type Prompt } from './promptList'
import { isStarting, runSentences } from './segment'

/** The sentences that describe a concept: what the model reads instead of its name, one switch each. */
export function SentenceEditor() {
  const prompt = prompts.value.find(({ key }) => key === openPrompt.value)
  if (!prompt) return null
  return (
    <section class="sentences" aria-label={`Sentences of ${prompt.name}`}>
      <div class="row between">
        <label class="check">
          <input type="checkbox" checked={prompt.described} onChange={(event) => changePrompt(prompt.key, { described: event.currentTarget.checked })} />
          Prompt with these sentences
        </label>
        <button class="icon-button small" aria-label="Close sentences" onClick={() => (openPrompt.value = null)}>
          <Icon name="close" />
        </button>
      </div>
      <ul class="plain-list stack">
        {prompt.sentences.map((sentence, index) => (
          <li key={index} class={sentence.on ? 'sentence' : 'sentence off'}>
            <input
              type="checkbox"
              role="switch"
              class="switch"
              aria-label={`Use sentence ${index + 1}`}
              checked={sentence.on}
              onChange={(event) => changeSentence(prompt.key, index, { on: event.currentTarget.checked })}
            />
            <textarea class="input" rows={2} aria-label={`Sentence ${index + 1}`} value={sentence.text} onInput={(event) => changeSentence(prompt.key, index, { text: event.currentTarget.value })} />
          </li>
        ))}
      </ul>
      {mayWrite.value && <CompareRow prompt={prompt} />}
    </section>
  )
}

function CompareRow({ prompt }: { prompt: Prompt }) {
  const off = prompt.sentences.filter(({ on }) => !on).length
  const isReady = opened.value !== null && off > 0 && off < prompt.sentences.length && !isStarting.value
  const hint = off === 0 ? 'Switch a sentence off to see what it changes.' : off === prompt.sentences.length ? 'Leave at least one sentence on.' : 'Runs all sentences (A) and those switched on (B).'
  return (
    <div class="row">
      <button class="button" disabled={!isReady} onClick={() => void compareSentences(prompt)}>
        Compare
      </button>
      <span class="muted small">{hint}</span>
    </div>
  )
}

async function compareSentences(prompt: Prompt): Promise<void> {
  const scan = opened.value
  const jobs = await runSentences(prompt)
  if (!jobs || !scan || opened.value?.id !== scan.id) return
  const [a, b] = jobs
  mode.value = 'difference'
  tab.value = 'compare'
  await compare(scan, { kind: 'job', job: a }, { kind: 'job', job: b })
}
