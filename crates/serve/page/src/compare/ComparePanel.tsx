import type { Scan } from '../api/types'
import { ErrorText } from '../interface/ErrorText'
import { differenceColors, type Color } from '../interface/palette'
import { Swatch } from '../interface/Swatch'
import { results } from '../jobs/runs'
import { keyOf, sourcesOf, type Source } from '../results/source'
import { SourceSelect } from '../results/SourceSelect'
import { opened } from '../studies/studies'
import { opacity } from '../viewer/view'
import { choosePair, chosen, closeComparison, compare, compareError, comparison, isComparing, mode, pairName } from './comparison'
import type { PairScore } from './overlap'

const FEWEST = 2

export function ComparePanel() {
  const scan = opened.value
  if (!scan) return <p class="muted pad">Open a scan to compare its results.</p>
  const sources = sourcesOf(scan, results.value)
  return (
    <section class="section" aria-label="Comparison">
      {sources.length < FEWEST ? <p class="muted">A comparison needs two results of this scan. Segment it once more, or save a correction.</p> : <Choice scan={scan} sources={sources} />}
      <ErrorText text={compareError.value} />
      {isComparing.value && <p class="muted small">Comparing…</p>}
      {comparison.value && <Compared />}
    </section>
  )
}

function Choice({ scan, sources }: { scan: Scan; sources: readonly Source[] }) {
  const { a, b } = chosen.value
  const find = (key: string) => sources.find((source) => keyOf(source) === key)
  const choose = (keys: { a: string; b: string }) => {
    closeComparison()
    chosen.value = keys
    const [first, second] = [find(keys.a), find(keys.b)]
    if (first && second && first !== second) void compare(scan, first, second)
  }
  return (
    <>
      <SourceSelect label="A" sources={sources} value={a} empty="Choose a result" onChoose={(key) => choose({ a: key, b })} />
      <SourceSelect label="B" sources={sources} value={b} empty="Choose a result" onChoose={(key) => choose({ a, b: key })} />
      {a !== '' && a === b && <p class="muted small">A and B are the same result.</p>}
    </>
  )
}

function Compared() {
  return (
    <>
      <div class="button-group wide" role="group" aria-label="View">
        <button class="button" aria-pressed={mode.value === 'difference'} onClick={() => (mode.value = 'difference')}>
          Difference
        </button>
        <button class="button" aria-pressed={mode.value === 'side'} onClick={() => (mode.value = 'side')}>
          Side by side
        </button>
      </div>
      {mode.value === 'difference' && <Legend />}
      <ScoreTable scores={comparison.value?.scores ?? []} />
      <label class="field inline">
        <span>Opacity</span>
        <input class="slider" type="range" min={0} max={1} step={0.05} value={opacity.value} onInput={(event) => (opacity.value = event.currentTarget.valueAsNumber)} />
      </label>
    </>
  )
}

function Legend() {
  return (
    <ul class="legend plain-list" aria-label="Colors">
      <Entry color={differenceColors.onlyA} text="Only A" />
      <Entry color={differenceColors.onlyB} text="Only B" />
      <Entry color={differenceColors.both} text="Both" />
      {(comparison.value?.scores.length ?? 0) > 1 && pairName.value === null && <Entry color={differenceColors.otherLabel} text="Different labels" />}
    </ul>
  )
}

function Entry({ color, text }: { color: Color; text: string }) {
  return (
    <li class="row">
      <Swatch color={color} /> {text}
    </li>
  )
}

function ScoreTable({ scores }: { scores: readonly PairScore[] }) {
  return (
    <table class="scores">
      <thead>
        <tr>
          <th scope="col">Segment</th>
          <th scope="col" class="number">Dice</th>
        </tr>
      </thead>
      <tbody>
        {scores.map((score) => (
          <ScoreRow key={score.name} score={score} isOnly={scores.length === 1} />
        ))}
      </tbody>
    </table>
  )
}

function ScoreRow({ score, isOnly }: { score: PairScore; isOnly: boolean }) {
  const isChosen = pairName.value === score.name
  return (
    <tr class={isChosen ? 'chosen' : ''}>
      <th scope="row">
        {isOnly || mode.value === 'side' ? (
          score.name
        ) : (
          <button class="link-button" aria-pressed={isChosen} title="Show the difference of this segment alone" onClick={() => void choosePair(isChosen ? null : score.name)}>
            {score.name}
          </button>
        )}
      </th>
      <td class="number mono">{diceText(score)}</td>
    </tr>
  )
}

function diceText({ a, b, dice }: PairScore): string {
  if (b === null) return 'only in A'
  if (a === null) return 'only in B'
  return dice === null ? 'both empty' : dice.toFixed(3)
}
