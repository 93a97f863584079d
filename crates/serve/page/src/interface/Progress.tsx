interface Props {
  label: string
  /** From 0 to 1; null while it is not known. */
  fraction: number | null
}

export function Progress({ label, fraction }: Props) {
  return fraction === null ? <progress class="progress" aria-label={label} /> : <progress class="progress" aria-label={label} value={fraction} max={1} />
}
