import { expect, test } from 'vitest'
import { colorOf, rgbOf } from './palette'

test('a name keeps its color, and the next names get others', () => {
  const names = Array.from({ length: 12 }, (_, i) => `segment ${i}`)
  const colors = names.map(colorOf)
  expect(new Set(colors).size).toBe(12)
  expect(names.map(colorOf)).toEqual(colors)
  expect(colorOf(' Segment 3 ')).toBe(colors[3])
})

test('a color has its three parts', () => {
  expect(rgbOf('#4cc9f0')).toEqual([0x4c, 0xc9, 0xf0])
})
