import { colorOf } from '../interface/palette'
import { Icon } from '../interface/Icon'
import { Swatch } from '../interface/Swatch'
import { activeValue, addSegment, pen, segments } from './correction'

/** Which segment the pen draws. */
export function CorrectedSegments() {
  return (
    <fieldset class="pens">
      <legend>Segment</legend>
      {segments.value.map(({ name, value }) => (
        <label key={value} class={activeValue.value === value ? 'pen-choice on' : 'pen-choice'}>
          <input
            type="radio"
            name="segment"
            checked={activeValue.value === value}
            onChange={() => {
              activeValue.value = value
              if (pen.value === 'eraser') pen.value = 'brush'
            }}
          />
          <Swatch color={colorOf(name)} />
          {name}
        </label>
      ))}
      <AddSegment />
    </fieldset>
  )
}

function AddSegment() {
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const form = event.currentTarget as HTMLFormElement
    addSegment(String(new FormData(form).get('name')))
    form.reset()
  }
  return (
    <form class="row" onSubmit={submit}>
      <input class="input grow" name="name" aria-label="Name of a new segment" placeholder="New segment" autocomplete="off" />
      <button class="icon-button" aria-label="Add segment" title="Add segment">
        <Icon name="plus" />
      </button>
    </form>
  )
}
