const PATHS = {
  close: 'M6 6l12 12M18 6L6 18',
  upload: 'M12 16V5M7 10l5-5 5 5M5 19h14',
  trash: 'M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12',
  search: 'M11 5a6 6 0 1 0 0 12a6 6 0 0 0 0-12M15.5 15.5L20 20',
  help: 'M9.5 9.5a2.5 2.5 0 1 1 3.4 2.3c-.6.3-.9.8-.9 1.7M12 16.6v.4M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  crosshair: 'M12 3v7M12 14v7M3 12h7M14 12h7',
  window: 'M12 4a8 8 0 1 0 0 16ZM12 4a8 8 0 0 1 0 16',
  pan: 'M12 3v18M3 12h18M9.5 5.5L12 3l2.5 2.5M9.5 18.5L12 21l2.5-2.5M5.5 9.5L3 12l2.5 2.5M18.5 9.5L21 12l-2.5 2.5',
  measure: 'M4 16L16 4l4 4L8 20zM8 12l2 2M11 9l2 2M14 6l2 2',
  clear: 'M4 16l8-8 6 6-4 4H8zM13 19h7',
  all: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  axial: 'M4 8l8-4 8 4-8 4zM4 8v0M4 13l8 4 8-4',
  coronal: 'M5 4h14v16H5zM9 4v16M15 4v16',
  sagittal: 'M12 3v18M7 5h10v14H7z',
  render: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5',
  text: 'M5 6h14M5 12h14M5 18h8',
  plus: 'M12 5v14M5 12h14',
  target: 'M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 3v3M12 18v3M3 12h3M18 12h3',
  brush: 'M20 4c-4 1-8 5-10 9l1 1c4-2 8-6 9-10M9 14c-3 0-3 4-6 5c4 2 8 0 8-3',
  fill: 'M5 12c0-4 4-8 8-7s7 4 6 8-5 7-9 6-5-3-5-7ZM9 12h6M9.500 15h5M10 9h5',
  eraser: 'M4 15l9-9 7 7-6 6H8zM9 10l7 7M14 19h6',
  undo: 'M8 5L4 9l4 4M4 9h9a6 6 0 0 1 0 12h-3',
  logout: 'M14 5H6v14h8M11 12h9M17 9l3 3-3 3',
  check: 'M5 12.500l4.500 4.500L19 7.500',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  )
}
