import type { Concept } from '../api/types'

export interface Suggestion {
  text: string
  concept: Concept
  /** The text is one of the concept's other wordings, not its name. */
  isWording: boolean
}

/** Names and wordings that contain what was typed, best first. */
export function complete(typed: string, concepts: Concept[], taken: ReadonlySet<string>, limit: number): Suggestion[] {
  const wanted = typed.trim().toLowerCase()
  return concepts
    .flatMap(suggestionsOf)
    .filter(({ text }) => !taken.has(text.toLowerCase()))
    .map((suggestion, position) => ({ suggestion, position, rank: rankOf(suggestion, wanted) }))
    .filter(({ rank }) => rank < NO_MATCH)
    .sort((a, b) => a.rank - b.rank || a.position - b.position)
    .slice(0, limit)
    .map(({ suggestion }) => suggestion)
}

const NO_MATCH = 100
const WORDING_PENALTY = 2

function suggestionsOf(concept: Concept): Suggestion[] {
  const texts = new Set([concept.name, ...concept.wordings])
  return [...texts].map((text) => ({ text, concept, isWording: text !== concept.name }))
}

/** Nothing typed lists the names. Otherwise names come before wordings, and starts of words before their middles. */
function rankOf({ text, isWording }: Suggestion, wanted: string): number {
  if (wanted === '') return isWording ? NO_MATCH : 0
  const lower = text.toLowerCase()
  const penalty = isWording ? WORDING_PENALTY : 0
  if (lower === wanted) return 0
  if (lower.startsWith(wanted)) return 1 + penalty
  if (wordsOf(wanted).every((word) => wordsOf(lower).some((other) => other.startsWith(word)))) return 2 + penalty
  if (lower.includes(wanted)) return 5 + penalty
  return NO_MATCH
}

function wordsOf(text: string): string[] {
  return text.split(/[\s,()/-]+/).filter(Boolean)
}
