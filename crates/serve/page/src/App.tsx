import { useEffect } from 'preact/hooks'
import { effect } from '@preact/signals'
import { announcement } from './interface/announce'
import { Header } from './interface/Header'
import { helpIsOpen } from './interface/navigation'
import { HelpDialog } from './help/HelpDialog'
import { listenToKeys } from './help/keys'
import { loadModels } from './models/models'
import { TaskPanel } from './interface/TaskPanel'
import { LoginDialog } from './session/LoginDialog'
import { connect, connected, mustLogIn, server, serverError } from './session/session'
import { openFromAddress, refreshScans } from './studies/studies'
import { StudyPanel } from './studies/StudyPanel'
import { ConnectionError } from './session/ConnectionError'
import { Viewer } from './viewer/Viewer'

export function App() {
  useEffect(() => {
    void connect()
    const stops = [listenToKeys(), effect(() => void (connected.value && start()))]
    return () => stops.forEach((stop) => stop())
  }, [])
  return (
    <div class="frame">
      <Header />
      <StudyPanel />
      <Viewer />
      <TaskPanel />
      {helpIsOpen.value && <HelpDialog />}
      {mustLogIn.value && <LoginDialog />}
      {serverError.value && server.value === null && <ConnectionError text={serverError.value} />}
      <p class="visually-hidden" role="status">
        {announcement.value}
      </p>
    </div>
  )
}

function start(): void {
  void loadModels()
  void refreshScans()
  void openFromAddress()
}
