import { useState } from 'preact/hooks'
import { messageOf } from '../api/request'
import { Dialog } from '../interface/Dialog'
import { ErrorText } from '../interface/ErrorText'
import { logIn } from './session'

export function LoginDialog() {
  const [error, setError] = useState<string | null>(null)
  const [isChecking, setChecking] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    setChecking(true)
    setError(null)
    try {
      await logIn(String(form.get('token')).trim())
    } catch (failure) {
      setError(messageOf(failure))
      setChecking(false)
    }
  }
  return (
    <Dialog title="Log in">
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <p class="muted">This server asks for an access token. It is kept until you close this tab.</p>
        <label class="field">
          <span>Token</span>
          <input class="input" name="token" type="password" autocomplete="off" required spellcheck={false} />
        </label>
        <ErrorText text={error} />
        <div class="row end">
          <button class="button primary" disabled={isChecking}>
            Log in
          </button>
        </div>
      </form>
    </Dialog>
  )
}
