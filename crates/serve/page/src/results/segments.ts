import type { SavedSegment, Segment } from '../api/types'

/** Voxels of each label value, background included. */
export function countVoxels(voxels: ArrayLike<number>): Map<number, number> {
  const counts = new Array<number>(256).fill(0)
  const larger = new Map<number, number>()
  for (let i = 0; i < voxels.length; i++) {
    const value = voxels[i] ?? 0
    if (value >= 0 && value < 256) counts[value] = (counts[value] ?? 0) + 1
    else larger.set(value, (larger.get(value) ?? 0) + 1)
  }
  counts.forEach((count, value) => {
    if (count > 0) larger.set(value, count)
  })
  return larger
}

/** The segments of a saved label: its names where they are known, and the volume of each value. */
export function segmentsOfLabel(voxels: ArrayLike<number>, spacing: readonly number[], names: readonly SavedSegment[]): Segment[] {
  const counts = countVoxels(voxels)
  counts.delete(0)
  const known = new Map(names.map(({ name, value }) => [value, name]))
  const values = [...new Set([...known.keys(), ...counts.keys()])].sort((a, b) => a - b)
  const voxelMl = spacing.reduce((product, mm) => product * mm, 1) / 1000
  return values.map((value) => {
    const count = counts.get(value) ?? 0
    return { name: known.get(value) ?? `Segment ${value}`, value, found: count > 0, presence: null, volume_ml: count * voxelMl }
  })
}

/** The voxel in the middle of a segment's middle slice, so that it is inside even where the segment is bent. */
export function middleOf(voxels: ArrayLike<number>, shape: readonly [number, number, number], value: number): [number, number, number] | null {
  const slice = shape[0] * shape[1]
  let first = -1
  let last = -1
  for (let i = 0; i < voxels.length; i++) {
    if (voxels[i] !== value) continue
    if (first < 0) first = i
    last = i
  }
  if (first < 0) return null
  const start = Math.floor((Math.floor(first / slice) + Math.floor(last / slice)) / 2) * slice
  const inside: number[] = []
  for (let i = start; i < start + slice; i++) if (voxels[i] === value) inside.push(i)
  const index = inside[Math.floor(inside.length / 2)] ?? first
  return [index % shape[0], Math.floor(index / shape[0]) % shape[1], Math.floor(index / slice)]
}
