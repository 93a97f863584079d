import { expect, test } from 'vitest'
import { Strokes } from './strokes'

test('strokes are taken back in reverse order', () => {
  const bitmap = Uint8Array.of(0, 1, 2, 0)
  const strokes = new Strokes(bitmap)
  bitmap.set([5, 5], 0)
  expect(strokes.record(bitmap)).toBe(true)
  bitmap.set([7], 3)
  strokes.record(bitmap)
  expect(strokes.count).toBe(2)
  strokes.undo(bitmap)
  expect([...bitmap]).toEqual([5, 5, 2, 0])
  strokes.undo(bitmap)
  expect([...bitmap]).toEqual([0, 1, 2, 0])
  strokes.undo(bitmap)
  expect([...bitmap]).toEqual([0, 1, 2, 0])
})

test('a stroke that changes nothing is not one', () => {
  const bitmap = Uint8Array.of(1, 1)
  expect(new Strokes(bitmap).record(bitmap)).toBe(false)
})

test('drawing after an undo starts from there', () => {
  const bitmap = Uint8Array.of(0, 0)
  const strokes = new Strokes(bitmap)
  bitmap[0] = 1
  strokes.record(bitmap)
  strokes.undo(bitmap)
  bitmap[1] = 2
  strokes.record(bitmap)
  strokes.undo(bitmap)
  expect([...bitmap]).toEqual([0, 0])
})
