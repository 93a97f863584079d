import { computed, signal } from '@preact/signals'
import type { Concept } from '../api/types'
import { conceptOf } from '../models/models'

export interface Sentence {
  text: string
  on: boolean
}

/** What is asked for: a name or free text, or the sentences that describe a concept. */
export interface Prompt {
  key: number
  name: string
  concept: Concept | null
  sentences: Sentence[]
  /** Ask with the sentences instead of the name. */
  described: boolean
}

export const prompts = signal<Prompt[]>([])

/** The prompt whose sentences are open for editing. */
export const openPrompt = signal<number | null>(null)

export const takenNames = computed(() => new Set(prompts.value.map(({ name }) => name.toLowerCase())))

let nextKey = 1

export function addPrompt(text: string): void {
  const name = text.trim().replace(/\s+/g, ' ')
  if (!name || takenNames.value.has(name.toLowerCase())) return
  const concept = conceptOf(name)
  const sentences = (concept?.sentences ?? []).map((sentence) => ({ text: sentence, on: true }))
  prompts.value = [...prompts.value, { key: nextKey++, name, concept, sentences, described: false }]
}

export function removePrompt(key: number): void {
  prompts.value = prompts.value.filter((prompt) => prompt.key !== key)
  if (openPrompt.value === key) openPrompt.value = null
}

export function clearPrompts(): void {
  prompts.value = []
  openPrompt.value = null
}

export function changePrompt(key: number, change: Partial<Prompt>): void {
  prompts.value = prompts.value.map((prompt) => (prompt.key === key ? { ...prompt, ...change } : prompt))
}

export function changeSentence(key: number, index: number, change: Partial<Sentence>): void {
  prompts.value = prompts.value.map((prompt) =>
    prompt.key === key
      ? { ...prompt, sentences: prompt.sentences.map((sentence, i) => (i === index ? { ...sentence, ...change } : sentence)) }
      : prompt,
  )
}

/** The text that the model reads. */
export function textOf(prompt: Prompt): string {
  const description = descriptionOf(prompt, onlyChosen)
  return prompt.described && description ? description : prompt.name
}

export function descriptionOf(prompt: Prompt, keep: (sentence: Sentence) => boolean): string {
  return prompt.sentences
    .filter((sentence) => keep(sentence) && sentence.text.trim())
    .map((sentence) => sentence.text.trim())
    .join(' ')
}

export const onlyChosen = (sentence: Sentence) => sentence.on
export const everySentence = () => true
