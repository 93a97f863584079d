import type { Job, Scan } from '../api/types'

/** Where a label map comes from: a job, or a label that was saved with the scan. */
export type Source = { kind: 'job'; job: Job } | { kind: 'saved'; tag: string }

export function keyOf(source: Source): string {
  return source.kind === 'job' ? `job:${source.job.id}` : `saved:${source.tag}`
}

/** All label maps of a scan, saved ones first. */
export function sourcesOf(scan: Scan, results: readonly Job[]): Source[] {
  const saved = scan.labels.map((tag): Source => ({ kind: 'saved', tag }))
  return [...saved, ...results.map((job): Source => ({ kind: 'job', job }))]
}
