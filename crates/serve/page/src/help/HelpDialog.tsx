import { Dialog } from '../interface/Dialog'
import { helpIsOpen } from '../interface/navigation'
import { shortcutGroups } from './keys'

const MOUSE = [
  ['Wheel', 'Change the slice'],
  ['Left button', 'The chosen tool; turns the 3-D view'],
  ['Right button', 'Window and level'],
  ['Middle button', 'Pan'],
] as const

export function HelpDialog() {
  const close = () => (helpIsOpen.value = false)
  return (
    <Dialog title="Keyboard shortcuts" onClose={close}>
      <div class="help-columns">
        {shortcutGroups.map(({ title, shortcuts }) => (
          <Table key={title} title={title} rows={shortcuts.map(({ key, does }) => [key, does] as const)} />
        ))}
        <Table title="Prompt" rows={[['Enter', 'Add the prompt'], ['Ctrl Enter', 'Segment'], ['Backspace', 'Remove the last prompt']]} />
        <Table title="Mouse" rows={MOUSE} />
      </div>
      <div class="row between">
        <a class="link-button" href="licenses.txt" target="_blank" rel="noreferrer">
          Licenses of the parts
        </a>
        <button class="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  )
}

function Table({ title, rows }: { title: string; rows: readonly (readonly [string, string])[] }) {
  return (
    <section>
      <h3>{title}</h3>
      <dl class="keys">
        {rows.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}
