import { Icon, type IconName } from '../interface/Icon'
import type { Layout, Tool } from './scene'
import { intensityWindow, isCt, layout, levelAndWidth, mainScene, tool } from './view'
import { CUSTOM, windowNames } from './windows'

const LAYOUTS: readonly { layout: Layout; title: string; icon: IconName }[] = [
  { layout: 'all', title: 'Three planes and 3-D', icon: 'all' },
  { layout: 'axial', title: 'Axial', icon: 'axial' },
  { layout: 'coronal', title: 'Coronal', icon: 'coronal' },
  { layout: 'sagittal', title: 'Sagittal', icon: 'sagittal' },
  { layout: 'render', title: '3-D', icon: 'render' },
]

const TOOLS: readonly { tool: Tool; title: string; icon: IconName }[] = [
  { tool: 'crosshair', title: 'Crosshair', icon: 'crosshair' },
  { tool: 'window', title: 'Window and level', icon: 'window' },
  { tool: 'pan', title: 'Pan and zoom', icon: 'pan' },
  { tool: 'measure', title: 'Measure', icon: 'measure' },
]

export function Toolbar() {
  const isCustom = intensityWindow.value === CUSTOM
  const names = [...windowNames(isCt.value), ...(isCustom ? [CUSTOM] : [])]
  const { level, width } = levelAndWidth.value ?? {}
  return (
    <div class="toolbar" role="toolbar" aria-label="Viewer">
      <div class="button-group" role="group" aria-label="Layout">
        {LAYOUTS.map(({ layout: name, title, icon }) => (
          <button key={name} class="icon-button" aria-label={title} title={title} aria-pressed={layout.value === name} onClick={() => (layout.value = name)}>
            <Icon name={icon} />
          </button>
        ))}
      </div>
      <div class="button-group" role="group" aria-label="Mouse">
        {TOOLS.map(({ tool: name, title, icon }) => (
          <button key={name} class="icon-button" aria-label={title} title={title} aria-pressed={tool.value === name} onClick={() => (tool.value = name)}>
            <Icon name={icon} />
          </button>
        ))}
        <button class="icon-button" aria-label="Clear measurements" title="Clear measurements" onClick={() => mainScene.value?.clearMeasurements()}>
          <Icon name="clear" />
        </button>
      </div>
      <label class="field inline">
        <span>Window</span>
        <select class="input" value={intensityWindow.value} onChange={(event) => (intensityWindow.value = event.currentTarget.value)}>
          {names.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      {level !== undefined && width !== undefined && (
        <span class="muted mono small">
          L {Math.round(level)} W {Math.round(width)}
        </span>
      )}
    </div>
  )
}
