import { batch, effect, signal } from '@preact/signals'
import type { Layout, Reading, Scene, Tool } from './scene'
import { AUTO, CUSTOM, type LevelAndWidth } from './windows'

/** How the opened scan is looked at. */
export const layout = signal<Layout>('all')
export const tool = signal<Tool>('crosshair')
export const intensityWindow = signal(AUTO)
/** Whether the opened scan is in Hounsfield units. */
export const isCt = signal(false)

export const levelAndWidth = signal<LevelAndWidth | null>(null)
export const opacity = signal(0.6)
export const reading = signal<Reading | null>(null)

/** The canvas of the page, and the second one while two results are side by side. */
export const mainScene = signal<Scene | null>(null)
export const secondScene = signal<Scene | null>(null)

/** The scan whose voxels are in the main canvas. */
export const loadedScan = signal<string | null>(null)

export function applyToScenes(): () => void {
  const scenes = () => [mainScene.value, secondScene.value].filter((scene) => scene !== null)
  const stops = [
    effect(() => { for (const scene of scenes()) scene.setLayout(layout.value) }),
    effect(() => { for (const scene of scenes()) scene.setTool(tool.value) }),
    effect(() => {
      if (loadedScan.value === null) return
      for (const scene of scenes()) scene.setWindow(intensityWindow.value)
      levelAndWidth.value = mainScene.value?.levelAndWidth ?? null
    }),
  ]
  return () => batch(() => stops.forEach((stop) => stop()))
}

/** NiiVue does not tell when the mouse has changed the window, so this is asked after each press. */
export function noticeWindow(): void {
  const now = mainScene.value?.levelAndWidth
  const before = levelAndWidth.value
  if (!now || !before || (now.level === before.level && now.width === before.width)) return
  levelAndWidth.value = now
  intensityWindow.value = CUSTOM
}
