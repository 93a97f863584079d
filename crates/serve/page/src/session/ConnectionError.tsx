import { connect } from './session'

export function ConnectionError({ text }: { text: string }) {
  return (
    <div class="connection-error" role="alert">
      <p>{text}</p>
      <button class="button" onClick={() => void connect()}>
        Try again
      </button>
    </div>
  )
}
