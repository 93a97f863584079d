import type { Scene } from '../viewer/scene'
import { colorTable, type LabelMap, type LabelStyle } from '../viewer/labelMap'
import { Strokes } from './strokes'

export type Pen = 'brush' | 'fill' | 'eraser'

/** The label map under correction, which NiiVue calls a drawing. */
export class Drawing {
  private readonly strokes: Strokes

  constructor(
    private readonly scene: Scene,
    start: LabelMap | null,
    private readonly onStroke: (strokes: number) => void,
  ) {
    const { nv } = scene
    if (start === null) nv.createEmptyDrawing()
    else if (!nv.loadDrawing(start.image)) throw new Error('The label map is not on the grid of the scan.')
    nv.setDrawingEnabled(true)
    this.strokes = new Strokes(this.bitmap())
    nv.onDrawingChanged = (action) => {
      if (action === 'draw' && this.strokes.record(this.bitmap())) this.onStroke(this.strokes.count)
    }
  }

  setPen(pen: Pen, value: number, size: number): void {
    const { nv } = this.scene
    nv.opts.penSize = pen === 'fill' ? 1 : size
    nv.setPenValue(pen === 'eraser' ? 0 : value, pen === 'fill')
  }

  setColors(styles: readonly LabelStyle[], opacity: number): void {
    const { nv } = this.scene
    // NiiVue's types name a built-in table here; it takes a table of one's own as well.
    nv.setDrawColormap(colorTable(styles) as unknown as string)
    nv.setDrawOpacity(opacity)
  }

  undo(): void {
    this.strokes.undo(this.bitmap())
    this.scene.nv.refreshDrawing(true)
    this.onStroke(this.strokes.count)
  }

  /** A NIfTI file on the grid and in the voxel order of the scan. */
  async file(): Promise<Blob> {
    const saved = await this.scene.nv.saveImage({ filename: '', isSaveDrawing: true, volumeByIndex: 0 })
    if (!(saved instanceof Uint8Array)) throw new Error('The drawing could not be written.')
    const stream = new Blob([saved as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream('gzip'))
    return new Response(stream).blob()
  }

  close(): void {
    const { nv } = this.scene
    nv.onDrawingChanged = () => undefined
    nv.setDrawingEnabled(false)
    nv.closeDrawing()
  }

  private bitmap(): Uint8Array {
    return this.scene.nv.drawBitmap ?? new Uint8Array()
  }
}
