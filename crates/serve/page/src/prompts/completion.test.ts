import { expect, test } from 'vitest'
import type { Concept } from '../api/types'
import { complete } from './completion'

const concepts: Concept[] = [
  concept('left kidney', 'kidney on the left'),
  concept('kidney', 'both kidneys'),
  concept('adrenal gland'),
  concept('liver', 'hepatic tissue'),
]

function concept(name: string, ...wordings: string[]): Concept {
  return { name, wordings, sentences: [], parts: [], sets: [] }
}

function texts(typed: string, taken: string[] = [], limit = 10): string[] {
  return complete(typed, concepts, new Set(taken), limit).map(({ text }) => text)
}

test('nothing typed lists the names in their order', () => {
  expect(texts('')).toEqual(['left kidney', 'kidney', 'adrenal gland', 'liver'])
})

test('the exact name comes first, then names, then wordings', () => {
  expect(texts('kidney')).toEqual(['kidney', 'left kidney', 'kidney on the left', 'both kidneys'])
})

test('words may be typed in any order and in part', () => {
  expect(texts('kid le')).toEqual(['left kidney', 'kidney on the left'])
})

test('the middle of a word is found last', () => {
  expect(texts('renal')).toEqual(['adrenal gland'])
})

test('a wording is marked and knows its concept', () => {
  const [first] = complete('hepa', concepts, new Set(), 1)
  expect(first).toMatchObject({ text: 'hepatic tissue', isWording: true, concept: { name: 'liver' } })
})

test('capitals do not matter, and what is taken is not offered again', () => {
  expect(texts('LIVER', ['liver'])).toEqual([])
})

test('the list has a limit', () => {
  expect(texts('', [], 2)).toHaveLength(2)
})
