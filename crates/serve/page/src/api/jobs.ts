import { postJson, request, requestJson } from './request'
import type { Concept, Job, JobRequest, Model, Server } from './types'

export type ResultFormat = 'nii.gz' | 'nrrd' | 'json' | 'seg.dcm' | 'rtstruct.dcm' | 'sr.dcm'

export const getServer = () => requestJson<Server>('server')
export const listModels = () => requestJson<Model[]>('models')

export async function vocabularyOf(model: string): Promise<Concept[]> {
  const { concepts } = await requestJson<{ concepts: Concept[] }>(`models/${encodeURIComponent(model)}/vocabulary`)
  return concepts
}

export const startJob = (job: JobRequest) => postJson<Job>('jobs', job)
export const jobsOf = (scan: string) => requestJson<Job[]>(`jobs?scan=${encodeURIComponent(scan)}`)
export const getJob = (id: string) => requestJson<Job>(jobPath(id))
export const cancelJob = (id: string) => postJson<Job>(`${jobPath(id)}/cancel`, {})

export async function deleteJob(id: string): Promise<void> {
  await request(jobPath(id), { method: 'DELETE' })
}

export async function sendToArchive(id: string): Promise<void> {
  await request(`${jobPath(id)}/send`, { method: 'POST' })
}

export const eventsPath = (id: string) => `${jobPath(id)}/events`
export const resultPath = (id: string, format: ResultFormat) => `${jobPath(id)}/result.${format}`

function jobPath(id: string): string {
  return `jobs/${encodeURIComponent(id)}`
}
