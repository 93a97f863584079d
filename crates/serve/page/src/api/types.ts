/** The JSON of the server's REST interface. */

export type Role = 'read' | 'write' | 'admin'

export interface Server {
  version: string
  auth: boolean
  role: Role | null
  upload_limit: number
  archive: boolean
  demo: boolean
}

export interface Model {
  name: string
  prompted: boolean
  classes: string[]
}

export interface Concept {
  name: string
  wordings: string[]
  sentences: string[]
  parts: string[]
  sets: string[]
}

export interface Scan {
  id: string
  dicom: boolean
  modality: string | null
  /** Of a DICOM series, whose id is a long number. */
  description: string | null
  shape: [number, number, number]
  spacing: [number, number, number]
  bytes: number
  created: string
  labels: string[]
}

export interface Segment {
  name: string
  value: number
  found: boolean
  presence: number | null
  volume_ml: number
}

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'canceled'

export interface Job {
  id: string
  scan: string
  model: string
  prompts: string[] | null
  exclusive: boolean
  state: JobState
  position: number | null
  progress: { done: number; total: number } | null
  error: string | null
  created: string
  started: string | null
  ended: string | null
  segments: Segment[] | null
}

export interface JobRequest {
  scan: string
  model: string
  prompts: string[] | null
  exclusive: boolean
  priority: number
}

export interface SavedSegment {
  name: string
  value: number
}
