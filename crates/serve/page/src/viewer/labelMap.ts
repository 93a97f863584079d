import type { NVImage } from '@niivue/niivue'

/** A label map on the grid of the scan, in the voxel order of its file. */
export interface LabelMap {
  image: NVImage
  voxels: ArrayLike<number>
  shape: readonly [number, number, number]
}

/** How a label is drawn. */
export interface LabelStyle {
  value: number
  name: string
  rgb: readonly [number, number, number]
  visible: boolean
}

export function colorTable(styles: readonly LabelStyle[]) {
  const rows = [{ value: 0, name: 'background', rgb: [0, 0, 0] as const, visible: false }, ...styles]
  return {
    R: rows.map(({ rgb }) => rgb[0]),
    G: rows.map(({ rgb }) => rgb[1]),
    B: rows.map(({ rgb }) => rgb[2]),
    A: rows.map(({ visible }) => (visible ? 255 : 0)),
    I: rows.map(({ value }) => value),
    labels: rows.map(({ name }) => name),
  }
}
