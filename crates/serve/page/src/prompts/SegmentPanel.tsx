import { models, model, chooseModel, modelError } from '../models/models'
import { ErrorText } from '../interface/ErrorText'
import { JobList } from '../jobs/JobList'
import { Results } from '../results/Results'
import { mayWrite } from '../session/session'
import { opened } from '../studies/studies'
import { PromptBox } from './PromptBox'
import { PromptChips } from './PromptChips'
import { prompts } from './promptList'
import { exclusive, isStarting, segment, segmentError } from './segment'
import { SentenceEditor } from './SentenceEditor'

export function SegmentPanel() {
  return (
    <>
      <section class="section" aria-label="Prompts">
        {models.value.length > 1 && <ModelChooser />}
        <ErrorText text={modelError.value} />
        <PromptBox />
        <PromptChips />
        <SentenceEditor />
        {mayWrite.value ? <RunRow /> : <p class="muted small">Your token may view results, not start segmentations.</p>}
        <ErrorText text={segmentError.value} />
        <JobList />
      </section>
      {opened.value && <Results />}
    </>
  )
}

function ModelChooser() {
  const choose = (name: string) => {
    const chosen = models.value.find((candidate) => candidate.name === name)
    if (chosen) void chooseModel(chosen)
  }
  return (
    <label class="field inline">
      <span>Model</span>
      <select class="input" value={model.value?.name} onChange={(event) => choose(event.currentTarget.value)}>
        {models.value.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  )
}

function RunRow() {
  const hint = opened.value ? (prompts.value.length === 0 ? defaultsHint() : null) : 'Open a scan to segment it.'
  return (
    <>
      <div class="row">
        <button class="button primary grow" disabled={!opened.value || !model.value || isStarting.value} aria-keyshortcuts="Control+Enter" onClick={() => void segment()}>
          Segment
        </button>
        <label class="check" title="Each voxel goes to its most probable segment">
          <input type="checkbox" checked={exclusive.value} onChange={(event) => (exclusive.value = event.currentTarget.checked)} />
          No overlap
        </label>
      </div>
      {hint && <p class="muted small">{hint}</p>}
    </>
  )
}

function defaultsHint(): string | null {
  const classes = model.value?.classes ?? []
  if (classes.length === 0) return null
  const shownNames = classes.slice(0, 4).join(', ')
  return `Without prompts, the model segments ${shownNames}${classes.length > 4 ? ` and ${classes.length - 4} more` : ''}.`
}
