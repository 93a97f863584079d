/** What the voxels of a scan say about how to show them. */
export interface Intensities {
  /** Between these is nearly everything but air. */
  low: number
  high: number
  /** Hounsfield units: air is near -1000, or padding lies below it. */
  isProbablyCt: boolean
}

const MOST_SAMPLES = 400_000
const AIR_SHARE_OF_RANGE = 0.02
const LOW_AND_HIGH = [0.005, 0.995] as const
const HIGHEST_CT_AIR = -900
const LOWEST_CT_BRIGHTEST = 100
/** Between air and fat, with room for noise. */
const CT_BODY = -500

export function intensitiesOf(voxels: ArrayLike<number>, slope: number, intercept: number): Intensities | null {
  const sorted = sample(voxels, slope, intercept).sort()
  const [least = 0, most = 0] = [sorted[0], sorted[sorted.length - 1]]
  if (!(most > least)) return null
  const isProbablyCt = least <= HIGHEST_CT_AIR && most >= LOWEST_CT_BRIGHTEST
  const air = sorted.findIndex((value) => value > (isProbablyCt ? CT_BODY : least + AIR_SHARE_OF_RANGE * (most - least)))
  const [low, high] = LOW_AND_HIGH.map((share) => sorted[air + Math.floor(share * (sorted.length - air - 1))] ?? 0) as [number, number]
  return high > low ? { low, high, isProbablyCt } : { low: least, high: most, isProbablyCt }
}

/** Evenly, and with an odd step, so that it does not stay in the same columns. */
function sample(voxels: ArrayLike<number>, slope: number, intercept: number): Float32Array {
  const step = Math.floor(voxels.length / MOST_SAMPLES) | 1
  const values = new Float32Array(Math.ceil(voxels.length / step))
  let count = 0
  for (let i = 0; i < voxels.length; i += step) {
    const value = (voxels[i] ?? 0) * slope + intercept
    if (Number.isFinite(value)) values[count++] = value
  }
  return values.subarray(0, count)
}
