import type { Segment } from '../api/types'

/** The same segment in two results. A value is null where a result does not have it. */
export interface Pair {
  name: string
  a: number | null
  b: number | null
}

export interface PairScore extends Pair {
  /** Undefined, so null, where both are empty. */
  dice: number | null
  voxelsA: number
  voxelsB: number
}

/** Segments of the same name belong together; where each result has one segment, these two do. */
export function pairSegments(a: readonly Segment[], b: readonly Segment[], nameOf: (name: string) => string): Pair[] {
  const [onlyA, onlyB] = [a[0], b[0]]
  if (a.length === 1 && b.length === 1 && onlyA && onlyB) return [{ name: nameOf(onlyA.name), a: onlyA.value, b: onlyB.value }]
  const pairs = new Map<string, Pair>()
  for (const { name, value } of a) pairs.set(nameOf(name), { name: nameOf(name), a: value, b: null })
  for (const { name, value } of b) {
    const key = nameOf(name)
    pairs.set(key, { name: key, a: pairs.get(key)?.a ?? null, b: value })
  }
  return [...pairs.values()]
}

/** Dice of each pair: twice the common voxels by the voxels of both. */
export function scorePairs(a: ArrayLike<number>, b: ArrayLike<number>, pairs: readonly Pair[]): PairScore[] {
  const joint = countJointly(a, b)
  const sizesA = new Map<number, number>()
  const sizesB = new Map<number, number>()
  for (const { a: valueA, b: valueB, voxels } of joint.values()) {
    sizesA.set(valueA, (sizesA.get(valueA) ?? 0) + voxels)
    sizesB.set(valueB, (sizesB.get(valueB) ?? 0) + voxels)
  }
  return pairs.map((pair) => {
    const voxelsA = pair.a === null ? 0 : (sizesA.get(pair.a) ?? 0)
    const voxelsB = pair.b === null ? 0 : (sizesB.get(pair.b) ?? 0)
    const common = pair.a === null || pair.b === null ? 0 : (joint.get(jointKey(pair.a, pair.b))?.voxels ?? 0)
    const sum = voxelsA + voxelsB
    return { ...pair, voxelsA, voxelsB, dice: sum === 0 ? null : (2 * common) / sum }
  })
}

export const difference = { none: 0, onlyA: 1, onlyB: 2, both: 3, otherLabel: 4 } as const

/** For each voxel, which of the two results has it. */
export function differenceOf(a: ArrayLike<number>, b: ArrayLike<number>, pairs: readonly Pair[]): Uint8Array {
  const pairOfA = pairIndex(pairs.map((pair) => pair.a))
  const pairOfB = pairIndex(pairs.map((pair) => pair.b))
  const out = new Uint8Array(a.length)
  for (let i = 0; i < out.length; i++) {
    const inA = pairOfA[a[i] ?? 0] ?? 0
    const inB = pairOfB[b[i] ?? 0] ?? 0
    if (inA === inB) out[i] = inA === 0 ? difference.none : difference.both
    else if (inB === 0) out[i] = difference.onlyA
    else if (inA === 0) out[i] = difference.onlyB
    else out[i] = difference.otherLabel
  }
  return out
}

/** The number of a value's pair, from 1, by value. */
function pairIndex(values: readonly (number | null)[]): number[] {
  const index: number[] = []
  values.forEach((value, position) => {
    if (value !== null && value > 0) index[value] = position + 1
  })
  return index
}

interface JointCount {
  a: number
  b: number
  voxels: number
}

const jointKey = (a: number, b: number) => a * 65536 + b

function countJointly(a: ArrayLike<number>, b: ArrayLike<number>): Map<number, JointCount> {
  const joint = new Map<number, JointCount>()
  let run: JointCount = { a: -1, b: -1, voxels: 0 }
  // Neighbors mostly have the same labels, so the map is asked only where they change.
  for (let i = 0; i < a.length; i++) {
    const valueA = a[i] ?? 0
    const valueB = b[i] ?? 0
    if (run.a !== valueA || run.b !== valueB) {
      const key = jointKey(valueA, valueB)
      run = joint.get(key) ?? { a: valueA, b: valueB, voxels: 0 }
      joint.set(key, run)
    }
    run.voxels += 1
  }
  return joint
}
