import type { Concept } from '../api/types'

export interface PromptName {
  /** Short enough for a list. */
  title: string
  /** What distinguishes two prompts of the same title. */
  note: string | null
}

const LONGEST_TITLE = 60

/** A prompt of sentences is named after the concept that they describe. */
export function nameOf(text: string, concepts: readonly Concept[]): PromptName {
  if (text.length <= LONGEST_TITLE && !text.includes('. ')) return { title: text, note: null }
  const described = concepts
    .map((concept) => ({ concept, count: concept.sentences.filter((sentence) => text.includes(sentence.trim())).length }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count)[0]
  if (!described) return { title: `${text.slice(0, LONGEST_TITLE - 1).trimEnd()}…`, note: 'free text' }
  const { concept, count } = described
  return { title: concept.name, note: `${count} of ${concept.sentences.length} sentences` }
}
