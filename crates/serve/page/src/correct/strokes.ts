/** The voxels that one stroke changed, with what they were before. */
interface Stroke {
  offsets: Uint32Array
  before: Uint8Array
}

const MOST_STROKES = 100

/** Undo for a bitmap that something else draws into: it sees only how the bitmap is after each stroke. */
export class Strokes {
  private readonly strokes: Stroke[] = []
  private last: Uint8Array

  constructor(bitmap: Uint8Array) {
    this.last = bitmap.slice()
  }

  get count(): number {
    return this.strokes.length
  }

  /** Takes note of a stroke; false if it changed nothing. */
  record(bitmap: Uint8Array): boolean {
    const offsets: number[] = []
    for (let i = 0; i < bitmap.length; i++) if (bitmap[i] !== this.last[i]) offsets.push(i)
    if (offsets.length === 0) return false
    this.strokes.push({ offsets: Uint32Array.from(offsets), before: Uint8Array.from(offsets, (offset) => this.last[offset] ?? 0) })
    if (this.strokes.length > MOST_STROKES) this.strokes.shift()
    this.last = bitmap.slice()
    return true
  }

  /** Takes the last stroke back in the bitmap itself. */
  undo(bitmap: Uint8Array): void {
    const stroke = this.strokes.pop()
    if (!stroke) return
    stroke.offsets.forEach((offset, i) => {
      bitmap[offset] = stroke.before[i] ?? 0
    })
    this.last = bitmap.slice()
  }
}
