import { signal } from '@preact/signals'
import { messageOf } from '../api/request'
import type { Scan } from '../api/types'
import { differenceColors, rgbOf } from '../interface/palette'
import { concepts } from '../models/models'
import { nameOf } from '../prompts/promptNames'
import { loadLabels, viewerCode, type LoadedLabels } from '../results/labels'
import { keyOf, type Source } from '../results/source'
import type { LabelMap, LabelStyle } from '../viewer/labelMap'
import { difference, differenceOf, pairSegments, scorePairs, type PairScore } from './overlap'

export type CompareMode = 'side' | 'difference'

export interface Comparison {
  a: LoadedLabels
  b: LoadedLabels
  scores: PairScore[]
}

export const mode = signal<CompareMode>('difference')
export const comparison = signal<Comparison | null>(null)
export const compareError = signal<string | null>(null)
export const isComparing = signal(false)

/** The pair whose difference is drawn; null draws all. */
export const pairName = signal<string | null>(null)
export const differenceMap = signal<LabelMap | null>(null)

/** The sources that are chosen as A and B, by their keys. */
export const chosen = signal({ a: '', b: '' })

export const differenceStyles: LabelStyle[] = [
  { value: difference.onlyA, name: 'only A', rgb: rgbOf(differenceColors.onlyA), visible: true },
  { value: difference.onlyB, name: 'only B', rgb: rgbOf(differenceColors.onlyB), visible: true },
  { value: difference.both, name: 'both', rgb: rgbOf(differenceColors.both), visible: true },
  { value: difference.otherLabel, name: 'other label', rgb: rgbOf(differenceColors.otherLabel), visible: true },
]

export async function compare(scan: Scan, a: Source, b: Source): Promise<void> {
  chosen.value = { a: keyOf(a), b: keyOf(b) }
  isComparing.value = true
  compareError.value = null
  try {
    const [first, second] = await Promise.all([loadLabels(scan, a), loadLabels(scan, b)])
    if (chosen.value.a !== keyOf(a) || chosen.value.b !== keyOf(b)) return
    if (first.map.shape.join() !== second.map.shape.join()) throw new Error('The two label maps have different shapes.')
    const title = (name: string) => nameOf(name, concepts.value).title
    const pairs = pairSegments(first.segments, second.segments, title)
    comparison.value = { a: first, b: second, scores: scorePairs(first.map.voxels, second.map.voxels, pairs) }
    await choosePair(null)
  } catch (error) {
    compareError.value = messageOf(error)
  } finally {
    isComparing.value = false
  }
}

export async function choosePair(name: string | null): Promise<void> {
  const compared = comparison.value
  if (!compared) return
  const { withVoxels } = await viewerCode()
  const pairs = name === null ? compared.scores : compared.scores.filter((pair) => pair.name === name)
  pairName.value = name
  differenceMap.value = withVoxels(compared.a.map, differenceOf(compared.a.map.voxels, compared.b.map.voxels, pairs))
}

export function closeComparison(): void {
  chosen.value = { a: '', b: '' }
  comparison.value = null
  differenceMap.value = null
  compareError.value = null
  pairName.value = null
}
