/** Intensity windows, by the names that radiology has for them. Levels and widths are in Hounsfield units. */

export interface LevelAndWidth {
  level: number
  width: number
}

export interface IntensityWindow extends LevelAndWidth {
  name: string
}

export const ctWindows: readonly IntensityWindow[] = [
  { name: 'Soft tissue', level: 40, width: 400 },
  { name: 'Lung', level: -600, width: 1500 },
  { name: 'Bone', level: 400, width: 1800 },
  { name: 'Brain', level: 40, width: 80 },
]

/** The window that the intensities of the body give. */
export const AUTO = 'Auto'

/** What the mouse made of it. */
export const CUSTOM = 'Custom'

export function startingWindow(isCt: boolean): string {
  return isCt ? 'Soft tissue' : AUTO
}

export function windowNames(isCt: boolean): string[] {
  return isCt ? [...ctWindows.map(({ name }) => name), AUTO] : [AUTO]
}
