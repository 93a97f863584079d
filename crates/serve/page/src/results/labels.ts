import { resultPath } from '../api/jobs'
import { request, RequestError } from '../api/request'
import { imagePath, labelPath, savedSegments } from '../api/scans'
import type { SavedSegment, Scan, Segment } from '../api/types'
import type { LabelMap } from '../viewer/labelMap'
import { segmentsOfLabel } from './segments'
import type { Source } from './source'

export interface LoadedLabels {
  source: Source
  map: LabelMap
  segments: Segment[]
}

/** NiiVue is large, so it comes when the first scan is opened. */
export const viewerCode = () => import('../viewer/scene')

export async function loadImage(scan: Scan): Promise<Blob> {
  return (await request(imagePath(scan.id))).blob()
}

export async function loadLabels(scan: Scan, source: Source): Promise<LoadedLabels> {
  const path = source.kind === 'job' ? resultPath(source.job.id, 'nii.gz') : labelPath(scan.id, source.tag)
  const [{ readLabels }, file] = await Promise.all([viewerCode(), request(path).then((response) => response.blob())])
  const map = await readLabels(file)
  const segments = source.kind === 'job' ? (source.job.segments ?? []) : segmentsOfLabel(map.voxels, scan.spacing, await namesOf(scan, source.tag))
  return { source, map, segments }
}

/** A label that another program saved may have no names. */
async function namesOf(scan: Scan, tag: string): Promise<SavedSegment[]> {
  try {
    return await savedSegments(scan.id, tag)
  } catch (error) {
    if (error instanceof RequestError && error.status === 404) return []
    throw error
  }
}
