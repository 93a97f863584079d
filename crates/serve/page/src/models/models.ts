import { computed, signal } from '@preact/signals'
import { listModels, vocabularyOf } from '../api/jobs'
import { messageOf, RequestError } from '../api/request'
import type { Concept, Model } from '../api/types'

export const models = signal<Model[]>([])
export const model = signal<Model | null>(null)
export const concepts = signal<Concept[]>([])
export const modelError = signal<string | null>(null)

/** Every text that names a concept, so that a prompt finds its sentences again. */
export const conceptByText = computed(() => {
  const byText = new Map<string, Concept>()
  for (const concept of concepts.value) {
    for (const text of [...concept.wordings, concept.name]) byText.set(text.toLowerCase(), concept)
  }
  return byText
})

export function conceptOf(text: string): Concept | null {
  return conceptByText.value.get(text.trim().toLowerCase()) ?? null
}

export async function loadModels(): Promise<void> {
  modelError.value = null
  try {
    models.value = await listModels()
    const first = models.value[0]
    if (first) await chooseModel(first)
    else modelError.value = 'The server has no model.'
  } catch (error) {
    modelError.value = messageOf(error)
  }
}

export async function chooseModel(chosen: Model): Promise<void> {
  model.value = chosen
  concepts.value = chosen.classes.map(withoutTexts)
  try {
    const vocabulary = await vocabularyOf(chosen.name)
    if (model.value === chosen && vocabulary.length > 0) concepts.value = vocabulary
  } catch (error) {
    // A model of fixed classes may have no vocabulary: its classes are what can be asked for.
    if (!(error instanceof RequestError && error.status === 404)) modelError.value = messageOf(error)
  }
}

function withoutTexts(name: string): Concept {
  return { name, wordings: [], sentences: [], parts: [], sets: [] }
}
