import { expect, test } from 'vitest'
import { intensitiesOf } from './intensities'

/** So many voxels of each intensity. */
function voxels(...parts: [count: number, intensity: number][]): number[] {
  return parts.flatMap(([count, intensity]) => new Array<number>(count).fill(intensity))
}

test('air has no part in the range', () => {
  const found = intensitiesOf(voxels([6000, 0], [10, 300], [3900, 500], [100, 900], [1, 5000]), 1, 0)
  expect(found).toEqual({ low: 500, high: 900, isProbablyCt: false })
})

test('a small dark and a small bright organ are within the range', () => {
  const found = intensitiesOf(voxels([5000, -1000], [40, -180], [4920, 10], [40, 200]), 1, 0)
  expect(found).toEqual({ low: -180, high: 200, isProbablyCt: true })
})

test('stored values are scaled', () => {
  expect(intensitiesOf(voxels([100, 0], [100, 1000], [100, 1200]), 1, -1024)).toMatchObject({ low: -24, isProbablyCt: true })
})

test('two intensities are the range, and one is none', () => {
  expect(intensitiesOf(voxels([900, 0], [100, 1]), 1, 0)).toMatchObject({ low: 0, high: 1 })
  expect(intensitiesOf(voxels([100, 7], [1, Number.NaN]), 1, 0)).toBeNull()
})
