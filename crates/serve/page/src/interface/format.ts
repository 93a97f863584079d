/** Numbers and dates as a reader wants them. */

export function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = count
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${value >= 10 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`
}

export function milliliters(volume: number): string {
  if (volume === 0) return '0 ml'
  if (volume < 0.1) return '< 0.1 ml'
  return `${volume < 100 ? volume.toFixed(1) : volume.toFixed(0)} ml`
}

/** Certainty is never rounded up to 100 % or down to 0 %. */
export function percent(fraction: number): string {
  if (fraction > 0.99 && fraction < 1) return '> 99 %'
  if (fraction < 0.01 && fraction > 0) return '< 1 %'
  return `${Math.round(fraction * 100)} %`
}

export function time(iso: string): string {
  const date = new Date(iso)
  const isToday = date.toDateString() === new Date().toDateString()
  const clock = date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
  return isToday ? clock : `${date.toLocaleDateString(undefined, { month: 'short', day: 'numeric' })}, ${clock}`
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}

/** World coordinates by the letters of the patient's sides: x to the left or right, y to the front or back, z up or down. */
export function worldPosition([x, y, z]: readonly [number, number, number]): string {
  const along = (value: number, positive: string, negative: string) =>
    `${value >= 0 ? positive : negative} ${Math.abs(value).toFixed(1)}`
  return [along(x, 'R', 'L'), along(y, 'A', 'P'), along(z, 'S', 'I')].join('   ')
}
