import { signal } from '@preact/signals'

const KEY = 'bipvl-token'

/** The bearer token of this tab; it is forgotten when the tab closes. */
export const token = signal<string | null>(sessionStorage.getItem(KEY))

export function keepToken(value: string): void {
  sessionStorage.setItem(KEY, value)
  token.value = value
}

export function dropToken(): void {
  sessionStorage.removeItem(KEY)
  token.value = null
}
