import { signal } from '@preact/signals'

/** The text that screen readers speak next. */
export const announcement = signal('')

export function announce(text: string): void {
  announcement.value = text
}
