import { logOut, server } from '../session/session'
import { token } from '../session/token'
import { opened, titleOf } from '../studies/studies'
import { Icon } from './Icon'
import { helpIsOpen, studiesAreOpen } from './navigation'

export function Header() {
  const scan = opened.value
  return (
    <header class="header">
      <button class="icon-button studies-toggle" aria-label="Studies" aria-expanded={studiesAreOpen.value} onClick={() => (studiesAreOpen.value = !studiesAreOpen.value)}>
        <Icon name="menu" />
      </button>
      <h1 class="brand">bipvl</h1>
      {scan && (
        <p class="header-scan">
          <strong class="ellipsis" title={scan.id}>
            {titleOf(scan)}
          </strong>
          <span class="muted">
            {scan.modality && `${scan.modality} · `}
            {scan.shape.join(' × ')} · {scan.spacing.map((mm) => mm.toFixed(2)).join(' × ')} mm
          </span>
        </p>
      )}
      <span class="grow" />
      <span class="notice">Research software. Not a medical device.</span>
      {server.value && <span class="muted version">v{server.value.version}</span>}
      <button class="icon-button" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => (helpIsOpen.value = true)}>
        <Icon name="help" />
      </button>
      {token.value && (
        <button class="icon-button" aria-label="Log out" title="Log out" onClick={logOut}>
          <Icon name="logout" />
        </button>
      )}
    </header>
  )
}
