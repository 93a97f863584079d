import { signal } from '@preact/signals'
import { messageOf } from '../api/request'
import type { Job } from '../api/types'
import { announce } from '../interface/announce'
import { count } from '../interface/format'
import { run } from '../jobs/runs'
import { model } from '../models/models'
import { show } from '../results/shown'
import { opened } from '../studies/studies'
import { descriptionOf, everySentence, onlyChosen, prompts, textOf, type Prompt } from './promptList'

export const exclusive = signal(false)
export const segmentError = signal<string | null>(null)
export const isStarting = signal(false)

/** Runs the prompts on the opened scan and shows what is found. */
export async function segment(): Promise<void> {
  if (isStarting.value) return
  const texts = prompts.value.map(textOf)
  const job = await runPrompts(texts.length > 0 ? texts : null)
  if (job && opened.value?.id === job.scan) await show(opened.value, { kind: 'job', job })
}

/** Runs all sentences of a prompt and those that are switched on, and returns both results. */
export async function runSentences(prompt: Prompt): Promise<[Job, Job] | null> {
  const all = descriptionOf(prompt, everySentence)
  const chosen = descriptionOf(prompt, onlyChosen)
  const [a, b] = await Promise.all([runPrompts([all]), runPrompts([chosen])])
  return a && b ? [a, b] : null
}

async function runPrompts(texts: string[] | null): Promise<Job | null> {
  const scan = opened.value
  if (!scan || !model.value) return null
  segmentError.value = null
  isStarting.value = true
  try {
    const job = await run(
      { scan: scan.id, model: model.value.name, prompts: texts, exclusive: exclusive.value, priority: 0 },
      () => (isStarting.value = false),
    )
    if (job.state !== 'done') return null
    announce(`Segmentation done: ${count(job.segments?.filter(({ found }) => found).length ?? 0, 'segment')} found.`)
    return job
  } catch (error) {
    segmentError.value = messageOf(error)
    return null
  } finally {
    isStarting.value = false
  }
}
