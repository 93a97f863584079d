import { signal } from '@preact/signals'
import { messageOf } from '../api/request'
import type { Scan } from '../api/types'
import { closeComparison } from '../compare/comparison'
import { stopCorrecting } from '../correct/correction'
import { loadJobs, results } from '../jobs/runs'
import { loadImage } from '../results/labels'
import { hide, show, shown } from '../results/shown'
import { sourcesOf } from '../results/source'
import { tab } from '../interface/navigation'
import type { Scene } from './scene'
import { intensityWindow, isCt, loadedScan } from './view'
import { startingWindow } from './windows'

export const isOpening = signal(false)
export const openError = signal<string | null>(null)

let latest: string | null = null

/** Brings a scan with its jobs into the page, and its newest label map over it. */
export async function bringIn(scan: Scan, scene: Scene): Promise<void> {
  latest = scan.id
  leaveScan()
  isOpening.value = true
  openError.value = null
  try {
    const [image] = await Promise.all([loadImage(scan), loadJobs(scan.id)])
    if (latest !== scan.id) return
    await scene.showScan(image, scan.modality)
    if (latest !== scan.id) return
    isCt.value = scene.isCt
    intensityWindow.value = startingWindow(isCt.value)
    loadedScan.value = scan.id
    window.ready = true
    const source = sourcesOf(scan, results.value)[0]
    if (source && !shown.value) await show(scan, source)
  } catch (error) {
    if (latest === scan.id) openError.value = messageOf(error)
  } finally {
    if (latest === scan.id) isOpening.value = false
  }
}

export function leaveScan(): void {
  window.ready = false
  loadedScan.value = null
  stopCorrecting()
  closeComparison()
  hide()
  if (tab.value !== 'segment') tab.value = 'segment'
}
