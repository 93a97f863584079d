import { gzipSync } from 'node:zlib'

const HEADER_BYTES = 352

/** A NIfTI file: a bright ball in the dark, with unequal spacings. With noise, no part of it is constant. */
export function ballFile({ shape: [nx, ny, nz] = [40, 36, 32], noise = 0 } = {}) {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeInt32LE(348, 0)
  ;[3, nx, ny, nz, 1, 1, 1, 1].forEach((size, i) => header.writeInt16LE(size, 40 + 2 * i))
  header.writeInt16LE(4, 70) // int16
  header.writeInt16LE(16, 72)
  ;[1, 2, 2.5, 3].forEach((spacing, i) => header.writeFloatLE(spacing, 76 + 4 * i))
  header.writeFloatLE(HEADER_BYTES, 108)
  header.writeFloatLE(1, 112)
  header[123] = 2 // mm
  header.writeInt16LE(1, 254)
  ;[[2, 0, 0, -40], [0, 2.5, 0, -45], [0, 0, 3, -48]].flat().forEach((entry, i) => header.writeFloatLE(entry, 280 + 4 * i))
  header.write('n+1\0', 344)
  const voxels = new Int16Array(nx * ny * nz)
  for (let i = 0; i < voxels.length; i++) {
    const [x, y, z] = [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))]
    voxels[i] = (x - nx / 2) ** 2 + (y - ny / 2) ** 2 + (z - nz / 2) ** 2 < 100 ? 200 : -100
    if (noise) voxels[i] += Math.random() * noise
  }
  return gzipSync(Buffer.concat([header, Buffer.from(voxels.buffer)]), { level: 1 })
}
