import { signal } from '@preact/signals'

export type Tab = 'segment' | 'correct' | 'compare'

export const tab = signal<Tab>('segment')

/** On narrow screens the studies lie over the page. */
export const studiesAreOpen = signal(false)
export const helpIsOpen = signal(false)
