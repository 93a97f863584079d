import { expect, test } from 'vitest'
import { drawingOffset } from './orientation'

const shape = [2, 3, 4] as const

test('a file in RAS has the order of the drawing', () => {
  expect(drawingOffset([1, 2, 3], { shape, permutation: [1, 2, 3] })).toBe(1 + 2 * (2 + 3 * 3))
})

test('an axis that runs backward is flipped', () => {
  expect(drawingOffset([0, 0, 0], { shape, permutation: [-1, 2, 3] })).toBe(1)
  expect(drawingOffset([1, 0, 1], { shape, permutation: [-1, -2, 3] })).toBe(0 + 2 * (2 + 3 * 1))
})

test('axes may be exchanged', () => {
  // Right is the third axis of the file, anterior its first, backward, and superior its second.
  expect(drawingOffset([1, 2, 3], { shape, permutation: [3, -1, 2] })).toBe(3 + 4 * (0 + 2 * 2))
})
