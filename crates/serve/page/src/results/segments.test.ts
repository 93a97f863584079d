import { expect, test } from 'vitest'
import { countVoxels, middleOf, segmentsOfLabel } from './segments'

test('voxels are counted by value, large values too', () => {
  expect(Object.fromEntries(countVoxels([0, 1, 1, 700]))).toEqual({ 0: 1, 1: 2, 700: 1 })
})

test('a saved label has the volume of its voxels, and a name for each value', () => {
  const segments = segmentsOfLabel([0, 1, 1, 4], [10, 10, 20], [{ name: 'liver', value: 1 }, { name: 'spleen', value: 2 }])
  expect(segments).toEqual([
    { name: 'liver', value: 1, found: true, presence: null, volume_ml: 4 },
    { name: 'spleen', value: 2, found: false, presence: null, volume_ml: 0 },
    { name: 'Segment 4', value: 4, found: true, presence: null, volume_ml: 2 },
  ])
})

test('the middle of a segment is one of its voxels, even if the segment is bent', () => {
  const shape = [3, 3, 1] as const
  const ring = [1, 1, 1, 1, 0, 1, 1, 1, 1]
  const middle = middleOf(ring, shape, 1)
  expect(middle).not.toBeNull()
  const [x, y, z] = middle ?? [0, 0, 0]
  expect(ring[x + 3 * (y + 3 * z)]).toBe(1)
  expect(middleOf(ring, shape, 2)).toBeNull()
})
