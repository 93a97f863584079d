import { DRAG_MODE, MULTIPLANAR_TYPE, Niivue, NVImage, SHOW_RENDER, SLICE_TYPE } from '@niivue/niivue'
import { colorTable, type LabelMap, type LabelStyle } from './labelMap'
import { intensitiesOf, type Intensities } from './intensities'
import { drawingOffset } from './orientation'
import { shadeRendering } from './shading'
import { AUTO, ctWindows, startingWindow, type LevelAndWidth } from './windows'

export type Layout = 'all' | 'axial' | 'coronal' | 'sagittal' | 'render'
export type Tool = 'crosshair' | 'window' | 'pan' | 'measure'
export type VoxelIndex = readonly [number, number, number]

/** What is under the crosshair. */
export interface Reading {
  world: [number, number, number]
  intensity: number
  label: number
}

const SLICES: Record<Layout, SLICE_TYPE> = {
  all: SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  render: SLICE_TYPE.RENDER,
}

const DRAGS: Record<Tool, DRAG_MODE> = {
  crosshair: DRAG_MODE.crosshair,
  window: DRAG_MODE.windowing,
  pan: DRAG_MODE.pan,
  measure: DRAG_MODE.measurement,
}

/** How far the mouse goes to double the width of the automatic window. */
const PIXELS_ACROSS_WINDOW = 300

/** A canvas with a scan, and a label map over it. */
export class Scene {
  readonly nv: Niivue
  onReading: (reading: Reading) => void = () => undefined
  /** Whether the scan is in Hounsfield units. */
  isCt = false
  private labels: NVImage | null = null
  private intensities: Intensities | null = null

  private constructor() {
    this.nv = new Niivue({
      logLevel: 'error',
      loadingText: '',
      dragAndDropEnabled: false,
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.92, 0.94, 0.97, 0.55],
      crosshairWidth: 0.3,
      crosshairWidthUnit: 'percent',
      crosshairGap: 10,
      fontColor: [0.75, 0.8, 0.86, 1],
      fontMinPx: 14,
      isRadiologicalConvention: true,
      showAllOrientationMarkers: true,
      sagittalNoseLeft: true,
      isNearestInterpolation: true,
      multiplanarLayout: MULTIPLANAR_TYPE.GRID,
      multiplanarShowRender: SHOW_RENDER.ALWAYS,
      multiplanarPadPixels: 6,
      measureLineColor: [1, 0.82, 0.4, 1],
      measureTextColor: [1, 0.82, 0.4, 1],
      rulerColor: [1, 0.82, 0.4, 1],
      rulerWidth: 2,
      showLegend: false,
      selectionBoxColor: [1, 1, 1, 0.3],
      // Keys belong to the page.
      clipPlaneHotKey: '',
      cycleClipPlaneHotKey: '',
      viewModeHotKey: '',
      // Corrections have their own undo.
      maxDrawUndoBitmaps: 1,
    })
    this.nv.onLocationChange = () => this.read()
    smoothImage(this.nv)
  }

  static async on(canvas: HTMLCanvasElement): Promise<Scene> {
    const scene = new Scene()
    await scene.nv.attachToCanvas(canvas)
    await shadeRendering(scene.nv)
    scene.setTool('crosshair')
    return scene
  }

  close(): void {
    this.nv.cleanup()
    this.nv.gl?.getExtension('WEBGL_lose_context')?.loseContext()
  }

  async showScan(file: Blob, modality: string | null): Promise<void> {
    const image = await readImage(file)
    this.nv.closeDrawing()
    for (const volume of [...this.nv.volumes]) this.nv.removeVolume(volume)
    this.labels = null
    this.intensities = intensitiesOf(image.img ?? [], image.hdr?.scl_slope || 1, image.hdr?.scl_inter ?? 0)
    this.isCt = modality === null ? (this.intensities?.isProbablyCt ?? false) : modality === 'CT'
    this.applyWindow(image, startingWindow(this.isCt))
    this.nv.addVolume(image)
    this.nv.opts.windowingGainFactor = (this.autoHigh - this.autoLow) / PIXELS_ACROSS_WINDOW
    this.nv.scene.crosshairPos = this.nv.vox2frac(middleOf(image))
    this.read()
  }

  showLabels(map: LabelMap, styles: readonly LabelStyle[], opacity: number): void {
    if (this.labels !== map.image) {
      this.hideLabels()
      map.image.opacity = opacity
      map.image.setColormapLabel(colorTable(styles))
      this.labels = map.image
      this.nv.addVolume(map.image)
    } else {
      map.image.opacity = opacity
      map.image.setColormapLabel(colorTable(styles))
      this.nv.updateGLVolume()
    }
    this.read()
  }

  hideLabels(): void {
    if (!this.labels) return
    this.nv.removeVolume(this.labels)
    this.labels = null
    this.read()
  }

  setLayout(layout: Layout): void {
    this.nv.setSliceType(SLICES[layout])
  }

  /** Whether the planes leave room for the 3-D view. */
  setRendering(isShown: boolean): void {
    this.nv.opts.multiplanarLayout = isShown ? MULTIPLANAR_TYPE.GRID : MULTIPLANAR_TYPE.AUTO
    this.nv.opts.multiplanarShowRender = isShown ? SHOW_RENDER.ALWAYS : SHOW_RENDER.NEVER
    this.nv.drawScene()
  }

  setTool(tool: Tool): void {
    this.nv.setMouseEventConfig({
      leftButton: { primary: DRAGS[tool] },
      rightButton: DRAG_MODE.windowing,
      centerButton: DRAG_MODE.pan,
    })
    this.nv.setTouchEventConfig({ singleTouch: DRAGS[tool], doubleTouch: DRAG_MODE.pan })
  }

  setWindow(name: string): void {
    const volume = this.nv.volumes[0]
    if (!volume) return
    const { cal_min: low, cal_max: high } = volume
    this.applyWindow(volume, name)
    if (volume.cal_min !== low || volume.cal_max !== high) this.nv.updateGLVolume()
  }

  private applyWindow(volume: NVImage, name: string): void {
    const preset = ctWindows.find((window) => window.name === name)
    if (preset) {
      volume.cal_min = preset.level - preset.width / 2
      volume.cal_max = preset.level + preset.width / 2
    } else if (name === AUTO) {
      volume.cal_min = this.autoLow
      volume.cal_max = this.autoHigh
    }
  }

  get levelAndWidth(): LevelAndWidth {
    const { cal_min: low = 0, cal_max: high = 0 } = this.nv.volumes[0] ?? {}
    return { level: (low + high) / 2, width: high - low }
  }

  clearMeasurements(): void {
    this.nv.clearAllMeasurements()
  }

  moveCrosshairTo(index: VoxelIndex): void {
    const volume = this.nv.volumes[0]
    if (!volume?.matRAS || !volume.hdr) return
    const [i, j, k] = index
    const affine = volume.hdr.affine
    const world = [0, 1, 2].map((row) => {
      const [a = 0, b = 0, c = 0, d = 0] = affine[row] ?? []
      return a * i + b * j + c * k + d
    })
    this.nv.scene.crosshairPos = this.nv.mm2frac([world[0] ?? 0, world[1] ?? 0, world[2] ?? 0])
    this.nv.drawScene()
    this.read()
  }

  /** The label at a voxel index of the file, of the correction if there is one. */
  labelAt(i: number, j: number, k: number): number {
    const volume = this.nv.volumes[0]
    if (!volume) return 0
    const shape = shapeOf(volume)
    if (this.nv.drawBitmap) {
      const permutation = volume.permRAS as unknown as VoxelIndex
      return this.nv.drawBitmap[drawingOffset([i, j, k], { shape, permutation })] ?? 0
    }
    return this.labels?.img?.[i + shape[0] * (j + shape[1] * k)] ?? 0
  }

  /** Moves together with another canvas. */
  linkTo(other: Scene): void {
    this.nv.broadcastTo([other.nv], { '2d': true, '3d': true })
    other.nv.broadcastTo([this.nv], { '2d': true, '3d': true })
  }

  unlink(): void {
    this.nv.broadcastTo([], { '2d': true, '3d': true })
  }

  private get autoLow(): number {
    return this.intensities?.low ?? 0
  }

  private get autoHigh(): number {
    return this.intensities?.high ?? 1
  }

  private read(): void {
    const volume = this.nv.volumes[0]
    if (!volume) return
    const world = this.nv.frac2mm(this.nv.scene.crosshairPos, 0, true)
    const position: [number, number, number] = [world[0], world[1], world[2]]
    this.onReading({
      world: position,
      intensity: valueAt(volume, position),
      label: this.nv.drawBitmap ? this.drawnLabel(volume) : this.labels ? valueAt(this.labels, position) : 0,
    })
  }

  private drawnLabel(volume: NVImage): number {
    const [x = 0, y = 0, z = 0] = this.nv.frac2vox(this.nv.scene.crosshairPos)
    const [, width = 0, height = 0] = volume.dimsRAS ?? []
    return this.nv.drawBitmap?.[x + width * (y + height * z)] ?? 0
  }
}

/** Labels have sharp voxels, intensities do not: NiiVue has one switch for both and sets it again with every picture. */
function smoothImage(nv: Niivue): void {
  const setInterpolation = nv.updateInterpolation.bind(nv)
  nv.updateInterpolation = (layer, isForceLinear) => setInterpolation(layer, isForceLinear || layer === 0)
}

export async function readLabels(file: Blob): Promise<LabelMap> {
  const image = await readImage(file)
  return { image, voxels: image.img ?? [], shape: shapeOf(image) }
}

/** A label map on the same grid with other voxels. */
export function withVoxels(map: LabelMap, voxels: Uint8Array): LabelMap {
  const image = map.image.clone()
  image.img = voxels
  if (image.hdr) {
    image.hdr.datatypeCode = 2
    image.hdr.numBitsPerVoxel = 8
  }
  return { image, voxels, shape: map.shape }
}

function readImage(blob: Blob): Promise<NVImage> {
  return NVImage.loadFromFile({ file: new File([blob], 'volume.nii.gz'), name: 'volume.nii.gz' })
}

function shapeOf(image: NVImage): [number, number, number] {
  const [x = 1, y = 1, z = 1] = image.hdr?.dims.slice(1) ?? []
  return [x, y, z]
}

function middleOf(image: NVImage): [number, number, number] {
  const [, x = 1, y = 1, z = 1] = image.dimsRAS ?? []
  return [Math.floor(x / 2), Math.floor(y / 2), Math.floor(z / 2)]
}

function valueAt(image: NVImage, world: [number, number, number]): number {
  const voxel = image.mm2vox(world)
  return image.getValue(voxel[0] ?? 0, voxel[1] ?? 0, voxel[2] ?? 0, image.frame4D)
}
