import { signal } from '@preact/signals'
import { cancelJob, deleteJob, eventsPath, getJob, jobsOf, startJob } from '../api/jobs'
import { eventsOf } from '../api/eventStream'
import { messageOf, request } from '../api/request'
import type { Job, JobRequest } from '../api/types'

/** Jobs of the opened scan that have not ended, or ended without a result and were not dismissed. */
export const runs = signal<Job[]>([])

/** Results of the opened scan, newest first. */
export const results = signal<Job[]>([])

export const isFinal = (job: Job) => job.state === 'done' || job.state === 'failed' || job.state === 'canceled'

/** Before a lost connection is opened again. */
const PAUSE_MS = 1000

let scanOfRuns = ''

/** Lists the jobs of a scan and follows those that still run. */
export async function loadJobs(scan: string): Promise<void> {
  scanOfRuns = scan
  runs.value = []
  results.value = []
  const jobs = await jobsOf(scan)
  if (scanOfRuns !== scan) return
  results.value = jobs.filter((job) => job.state === 'done')
  for (const job of jobs.filter((job) => !isFinal(job)).reverse()) void follow(job)
}

/** Starts a job and resolves when it has ended. */
export async function run(request: JobRequest, onStart: () => void): Promise<Job> {
  const job = await startJob(request)
  onStart()
  return follow(job)
}

export async function cancel(job: Job): Promise<void> {
  update(await cancelJob(job.id))
}

export async function removeResult(job: Job): Promise<void> {
  await deleteJob(job.id)
  results.value = results.value.filter(({ id }) => id !== job.id)
}

export function dismiss(job: Job): void {
  runs.value = runs.value.filter(({ id }) => id !== job.id)
}

async function follow(job: Job): Promise<Job> {
  update(job)
  let latest = job
  try {
    latest = await watch(job, (changed) => update((latest = changed)))
  } catch (error) {
    latest = { ...latest, state: 'failed', error: messageOf(error) }
    update(latest)
  }
  return latest
}

/** Reads the events of a job. A connection that ends too early is opened once more. */
async function watch(job: Job, onChange: (job: Job) => void): Promise<Job> {
  const connections = 2
  for (let connection = 1; connection <= connections; connection++) {
    try {
      for await (const event of eventsOf(await request(eventsPath(job.id)))) {
        if (event.name !== 'job') continue
        const changed = JSON.parse(event.data) as Job
        onChange(changed)
        if (isFinal(changed)) return changed
      }
    } catch (error) {
      if (connection === connections) throw error
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }
  const last = await getJob(job.id)
  onChange(last)
  if (isFinal(last)) return last
  throw new Error('The connection to the server was lost. Reload the page to follow this job.')
}

function update(job: Job): void {
  if (job.scan !== scanOfRuns) return
  if (job.state === 'done') {
    runs.value = runs.value.filter(({ id }) => id !== job.id)
    results.value = [job, ...results.value.filter(({ id }) => id !== job.id)]
    return
  }
  const known = runs.value.some(({ id }) => id === job.id)
  runs.value = known ? runs.value.map((other) => (other.id === job.id ? job : other)) : [...runs.value, job]
}
