/** An error where the action was; screen readers speak it when it appears. */
export function ErrorText({ text }: { text: string | null }) {
  return (
    <div role="alert" class="error-slot">
      {text && <p class="error">{text}</p>}
    </div>
  )
}
