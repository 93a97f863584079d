import { drawing, isCorrecting, pen, penSize } from '../correct/correction'
import { helpIsOpen } from '../interface/navigation'
import { opened } from '../studies/studies'
import { segment } from '../prompts/segment'
import { mayWrite } from '../session/session'
import { layout, opacity, tool } from '../viewer/view'

interface Shortcut {
  key: string
  does: string
  act: () => void
}

const anywhere: readonly Shortcut[] = [
  { key: '/', does: 'Type a prompt', act: () => focus('prompt') },
  { key: 's', does: 'Search studies', act: () => focus('study-search') },
  { key: '1', does: 'Three planes and 3-D', act: () => (layout.value = 'all') },
  { key: '2', does: 'Axial', act: () => (layout.value = 'axial') },
  { key: '3', does: 'Coronal', act: () => (layout.value = 'coronal') },
  { key: '4', does: 'Sagittal', act: () => (layout.value = 'sagittal') },
  { key: '5', does: '3-D', act: () => (layout.value = 'render') },
  { key: 'c', does: 'Crosshair', act: () => (tool.value = 'crosshair') },
  { key: 'w', does: 'Window and level', act: () => (tool.value = 'window') },
  { key: 'p', does: 'Pan and zoom', act: () => (tool.value = 'pan') },
  { key: 'm', does: 'Measure', act: () => (tool.value = 'measure') },
  { key: 'v', does: 'Show or hide the overlay', act: toggleOverlay },
  { key: '?', does: 'This help', act: () => (helpIsOpen.value = true) },
]

const whileCorrecting: readonly Shortcut[] = [
  { key: 'b', does: 'Brush', act: () => (pen.value = 'brush') },
  { key: 'f', does: 'Fill', act: () => (pen.value = 'fill') },
  { key: 'e', does: 'Eraser', act: () => (pen.value = 'eraser') },
  { key: '[', does: 'Smaller pen', act: () => (penSize.value = Math.max(1, penSize.value - 1)) },
  { key: ']', does: 'Larger pen', act: () => (penSize.value = Math.min(25, penSize.value + 1)) },
  { key: 'z', does: 'Undo', act: () => drawing.value?.undo() },
]

export const shortcutGroups = [
  { title: 'Anywhere', shortcuts: anywhere },
  { title: 'While correcting', shortcuts: whileCorrecting },
]

/** Keys are taken before NiiVue, which has shortcuts of its own on the canvas. */
export function listenToKeys(): () => void {
  const abort = new AbortController()
  document.addEventListener('keydown', onKeyDown, { capture: true, signal: abort.signal })
  return () => abort.abort()
}

function onKeyDown(event: KeyboardEvent): void {
  const target = event.target as HTMLElement
  if (event.altKey || event.metaKey || document.querySelector('dialog[open]')) return
  if (event.ctrlKey && event.key === 'Enter' && target.id !== 'prompt') {
    if (opened.value && mayWrite.value && !isCorrecting.value) take(event, () => void segment())
    return
  }
  if (event.ctrlKey) {
    if (event.key === 'z' && isCorrecting.value && !isTyping(target)) take(event, () => drawing.value?.undo())
    return
  }
  if (isTyping(target)) return
  const shortcuts = isCorrecting.value ? [...whileCorrecting, ...anywhere] : anywhere
  const shortcut = shortcuts.find(({ key }) => key === event.key)
  if (shortcut) take(event, shortcut.act)
}

function take(event: KeyboardEvent, act: () => void): void {
  event.preventDefault()
  event.stopPropagation()
  act()
}

function isTyping(target: HTMLElement): boolean {
  return target.matches('input:not([type=range], [type=checkbox], [type=radio]), textarea, select')
}

function focus(id: string): void {
  document.getElementById(id)?.focus()
}

let opacityBefore = 0.6

function toggleOverlay(): void {
  if (opacity.value > 0) opacityBefore = opacity.value
  opacity.value = opacity.value > 0 ? 0 : opacityBefore
}
