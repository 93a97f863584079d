import type { Color } from './palette'

export function Swatch({ color }: { color: Color }) {
  return <span class="swatch" style={{ background: color }} aria-hidden="true" />
}
