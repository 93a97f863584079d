import type { Niivue } from '@niivue/niivue'

declare global {
  interface Window {
    /** A scan is loaded. */
    ready: boolean
    /** For tests: the viewer, and the label at a voxel index of the file. */
    viewer?: { nv: Niivue; labelAt: (i: number, j: number, k: number) => number }
  }
}
