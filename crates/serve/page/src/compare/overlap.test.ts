import { expect, test } from 'vitest'
import type { Segment } from '../api/types'
import { difference, differenceOf, pairSegments, scorePairs } from './overlap'

const a = [0, 1, 1, 1, 2, 2, 0, 0]
const b = [0, 0, 5, 5, 5, 7, 7, 0]
const pairs = [
  { name: 'liver', a: 1, b: 5 },
  { name: 'spleen', a: 2, b: 7 },
  { name: 'stomach', a: 3, b: null },
]

function segment(name: string, value: number): Segment {
  return { name, value, found: true, presence: null, volume_ml: 0 }
}

const same = (name: string) => name

test('Dice is twice the common voxels by the voxels of both', () => {
  const scores = scorePairs(a, b, pairs)
  expect(scores.map(({ dice }) => dice)).toEqual([(2 * 2) / (3 + 3), (2 * 1) / (2 + 2), null])
  expect(scores[0]).toMatchObject({ voxelsA: 3, voxelsB: 3 })
})

test('Dice of two empty masks is undefined, of one empty mask zero', () => {
  const scores = scorePairs([0, 0], [0, 4], [{ name: 'both', a: 9, b: 9 }, { name: 'one', a: 9, b: 4 }])
  expect(scores.map(({ dice }) => dice)).toEqual([null, 0])
})

test('the difference tells who has a voxel', () => {
  const { none, onlyA, onlyB, both, otherLabel } = difference
  expect([...differenceOf(a, b, pairs)]).toEqual([none, onlyA, both, both, otherLabel, both, onlyB, none])
})

test('the difference of one pair ignores the others', () => {
  const { none, onlyA, onlyB, both } = difference
  expect([...differenceOf(a, b, pairs.slice(0, 1))]).toEqual([none, onlyA, both, both, onlyB, none, none, none])
})

test('segments are paired by name, whatever their values', () => {
  const paired = pairSegments([segment('liver', 1), segment('spleen', 2)], [segment('spleen', 1), segment('stomach', 2)], same)
  expect(paired).toEqual([
    { name: 'liver', a: 1, b: null },
    { name: 'spleen', a: 2, b: 1 },
    { name: 'stomach', a: null, b: 2 },
  ])
})

test('two single segments are a pair under any names', () => {
  expect(pairSegments([segment('It is round.', 1)], [segment('It is dark.', 1)], same)).toEqual([{ name: 'It is round.', a: 1, b: 1 }])
})
