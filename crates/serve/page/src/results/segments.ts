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

/** A voxel amid a segment, and inside it even where it is bent or in pieces. */
export function middleOf(voxels: ArrayLike<number>, shape: readonly [number, number, number], value: number): [number, number, number] | null {
  const inside: number[] = []
  for (let i = 0; i < voxels.length; i++) if (voxels[i] === value) inside.push(i)
  const middle = inside[Math.floor(inside.length / 2)]
  if (middle === undefined) return null
  const slice = Math.floor(middle / (shape[0] * shape[1]))
  const inSlice = inside.filter((i) => Math.floor(i / (shape[0] * shape[1])) === slice)
  const index = inSlice[Math.floor(inSlice.length / 2)] ?? middle
  return [index % shape[0], Math.floor(index / shape[0]) % shape[1], slice]
}
