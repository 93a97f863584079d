import { expect, test } from 'vitest'
import type { Concept } from '../api/types'
import { nameOf } from './promptNames'

const spleen: Concept = { name: 'spleen', wordings: [], sentences: ['It lies on the left.', 'It is as bright as the liver.'], parts: [], sets: [] }

test('a short prompt is its own name', () => {
  expect(nameOf('dark rings on the left', [spleen])).toEqual({ title: 'dark rings on the left', note: null })
})

test('sentences are named after their concept, with how many of them there are', () => {
  expect(nameOf('It lies on the left. It is as bright as the liver.', [spleen])).toEqual({ title: 'spleen', note: '2 of 2 sentences' })
  expect(nameOf('It lies on the left. It is dark.', [spleen])).toEqual({ title: 'spleen', note: '1 of 2 sentences' })
})

test('long free text is cut', () => {
  const { title, note } = nameOf('a structure that '.repeat(10), [spleen])
  expect(title.length).toBeLessThanOrEqual(60)
  expect(note).toBe('free text')
})
