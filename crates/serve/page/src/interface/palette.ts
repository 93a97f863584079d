/** Hues that stay apart from each other on gray images. */
const PALETTE = [
  '#4cc9f0', '#ff9f45', '#80ed99', '#ff6b9d', '#ffd166', '#b388ff',
  '#f07167', '#2ec4b6', '#c0ca33', '#6f9bff', '#e0aaff', '#d4a373',
] as const

const DIFFERENCE = { onlyA: '#4cc9f0', onlyB: '#ff9f45', both: '#80ed99', otherLabel: '#ff6b9d' } as const

export type Color = string
export const differenceColors: Readonly<Record<keyof typeof DIFFERENCE, Color>> = DIFFERENCE

const assigned = new Map<string, number>()

/** A name keeps its color while the page is open: as a chip, in results, in corrections. */
export function colorOf(name: string): Color {
  const key = name.trim().toLowerCase()
  let index = assigned.get(key)
  if (index === undefined) {
    index = assigned.size
    assigned.set(key, index)
  }
  return PALETTE[index % PALETTE.length] ?? PALETTE[0]
}

export function rgbOf(color: Color): [number, number, number] {
  const number = Number.parseInt(color.slice(1), 16)
  return [number >> 16, (number >> 8) & 255, number & 255]
}
