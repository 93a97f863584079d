import { render } from 'preact'
import { App } from './App'
import './style/base.css'
import './style/controls.css'
import './style/frame.css'
import './style/studies.css'
import './style/viewer.css'
import './style/panel.css'

const root = document.getElementById('app')
if (root) render(<App />, root)
