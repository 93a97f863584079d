/** How the voxels of a file lie in the order of the drawing, which is always RAS. */
export interface RasOrder {
  shape: readonly [number, number, number]
  /** Signed axes of NiiVue: the axis of the file, from 1, for each RAS axis; negative where it runs backward. */
  permutation: readonly [number, number, number]
}

/** Position in the drawing of a voxel index of the file. */
export function drawingOffset(index: readonly [number, number, number], { shape, permutation }: RasOrder): number {
  let offset = 0
  let stride = 1
  for (const axis of permutation) {
    const fileAxis = (Math.abs(axis) - 1) as 0 | 1 | 2
    const size = shape[fileAxis]
    const along = axis > 0 ? index[fileAxis] : size - 1 - index[fileAxis]
    offset += along * stride
    stride *= size
  }
  return offset
}
