import type { ComponentChildren } from 'preact'
import { ComparePanel } from '../compare/ComparePanel'
import { isCorrecting } from '../correct/correction'
import { CorrectPanel } from '../correct/CorrectPanel'
import { SegmentPanel } from '../prompts/SegmentPanel'
import { tab, type Tab } from './navigation'

const TABS: readonly { tab: Tab; title: string }[] = [
  { tab: 'segment', title: 'Segment' },
  { tab: 'correct', title: 'Correct' },
  { tab: 'compare', title: 'Compare' },
]

export function TaskPanel() {
  return (
    <aside class="panel" aria-label="Segmentation">
      <div class="tabs" role="tablist" aria-label="Tasks" onKeyDown={moveWithArrows}>
        {TABS.map(({ tab: name, title }) => (
          <button
            key={name}
            id={`tab-${name}`}
            class="tab"
            role="tab"
            aria-selected={tab.value === name}
            aria-controls={`panel-${name}`}
            tabIndex={tab.value === name ? 0 : -1}
            disabled={isCorrecting.value && name !== 'correct'}
            title={isCorrecting.value && name !== 'correct' ? 'Save or discard the correction first' : undefined}
            onClick={() => (tab.value = name)}
          >
            {title}
          </button>
        ))}
      </div>
      <TabPanel name="segment">
        <SegmentPanel />
      </TabPanel>
      <TabPanel name="correct">
        <CorrectPanel />
      </TabPanel>
      <TabPanel name="compare">
        <ComparePanel />
      </TabPanel>
    </aside>
  )
}

function TabPanel({ name, children }: { name: Tab; children: ComponentChildren }) {
  return (
    <div id={`panel-${name}`} class="tab-panel" role="tabpanel" aria-labelledby={`tab-${name}`} hidden={tab.value !== name} tabIndex={-1}>
      {tab.value === name && children}
    </div>
  )
}

function moveWithArrows(event: KeyboardEvent): void {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
  if (step === 0 || isCorrecting.value) return
  const index = TABS.findIndex((entry) => entry.tab === tab.value)
  const next = TABS[(index + step + TABS.length) % TABS.length]
  if (!next) return
  tab.value = next.tab
  document.getElementById(`tab-${next.tab}`)?.focus()
}
