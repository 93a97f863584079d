import { expect, test } from 'vitest'
import { bytes, milliliters, percent, worldPosition } from './format'

test('certainty is not rounded to 0 or 100 %', () => {
  expect([1, 0.999, 0.984, 0.004, 0].map(percent)).toEqual(['100 %', '> 99 %', '98 %', '< 1 %', '0 %'])
})

test('volumes have a sensible precision', () => {
  expect([0, 0.01, 8.25, 152.4].map(milliliters)).toEqual(['0 ml', '< 0.1 ml', '8.3 ml', '152 ml'])
})

test('sizes of files', () => {
  expect([12, 1500, 84_000_000].map(bytes)).toEqual(['12 B', '1.5 KB', '84 MB'])
})

test('positions are given by the sides of the patient', () => {
  expect(worldPosition([-12.34, 5, -1])).toBe('L 12.3   A 5.0   I 1.0')
})
