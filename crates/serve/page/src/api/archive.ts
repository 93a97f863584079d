import { request, requestJson } from './request'
import type { Scan } from './types'

export interface ArchiveStudy {
  uid: string
  date: string | null
  description: string | null
  patient_name: string | null
  patient_id: string | null
  modalities: string[]
  series: number | null
}

export interface ArchiveSeries {
  uid: string
  modality: string | null
  description: string | null
  instances: number | null
  in_library: boolean
}

export const findStudies = (text: string) => requestJson<ArchiveStudy[]>(`archive/studies?search=${encodeURIComponent(text)}`)
export const seriesOf = (study: string) => requestJson<ArchiveSeries[]>(`archive/studies/${encodeURIComponent(study)}/series`)

export async function fetchSeries(series: string): Promise<Scan[]> {
  return (await request(`archive/series/${encodeURIComponent(series)}/fetch`, { method: 'POST' })).json() as Promise<Scan[]>
}
