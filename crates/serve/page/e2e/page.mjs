/**
 * The page in a browser, against a running server with its demo:
 *
 *   BASE_URL=http://127.0.0.1:8000 [TOKEN=...] [CHROMIUM=/usr/bin/chromium] node e2e/page.mjs SCREENSHOTS
 */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { barriers, DESKTOP, openBrowser, TABLET } from './browser.mjs'
import { ballFile } from './nifti.mjs'

const baseUrl = process.env.BASE_URL ?? 'http://127.0.0.1:8000'
const token = process.env.TOKEN
const screenshots = process.argv[2] ?? 'screenshots'
const LONGEST_JOB_MS = 180_000
const FIRST_VIEW_BYTES = 60_000
const INTERACTIVE_MS = 2000
const UPLOADED = 'e2e_ball'

mkdirSync(screenshots, { recursive: true })
const { browser, page, troubles } = await openBrowser(baseUrl)
page.setDefaultTimeout(30_000)

const steps = [logIn, measureFirstView, openFirstScan, lookAround, completePrompts, segmentByName, downloadResult, correctAndSave, reloadOffersLabel, compareResults, compareSentences, deleteResult, cancelJob, uploadAndDelete, showHelp, fitTablet]
let passed = 0
try {
  for (const step of steps) {
    await step()
    assert.deepEqual(troubles, [], step.name)
    passed += 1
    console.log(`ok ${step.name}`)
  }
} catch (error) {
  console.error(`FAILED ${steps[passed]?.name}\n${error.stack}\n${troubles.join('\n')}`)
  await shot('failed').catch(() => undefined)
  process.exitCode = 1
} finally {
  await browser.close()
}
console.log(`${passed} passed, ${steps.length - passed} failed`)

async function logIn() {
  await page.goto(baseUrl)
  if (!token) return
  await page.getByRole('dialog').waitFor()
  assert.deepEqual(await barriers(page), [])
  await shot('login')
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Log in' }).click()
}

async function measureFirstView() {
  const network = await page.context().newCDPSession(page)
  const addresses = new Map()
  let bytes = 0
  network.on('Network.requestWillBeSent', ({ requestId, request }) => addresses.set(requestId, new URL(request.url).pathname))
  network.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const address = addresses.get(requestId)
    if (address && !address.startsWith('/api/')) bytes += encodedDataLength
  })
  await network.send('Network.enable')
  await network.send('Network.clearBrowserCache')
  await page.goto(baseUrl)
  await page.locator('.study-open').first().waitFor()
  const ms = await page.evaluate(() => performance.now())
  await network.detach()
  console.log(`   first view: ${Math.round(ms)} ms, ${bytes} bytes`)
  assert.ok(ms < INTERACTIVE_MS, `interactive after ${ms} ms`)
  assert.ok(bytes > 0 && bytes < FIRST_VIEW_BYTES, `first view has ${bytes} bytes`)
  assert.deepEqual(await barriers(page), [])
  await shot('studies')
}

async function openFirstScan() {
  await page.locator('.study-open').first().click()
  await ready()
  if ((await page.locator('.study').first().locator('.tag').count()) === 0) assert.ok((await coloredPixels()) < 200, 'nothing is colored before a segmentation')
  await shot('scan')
}

async function lookAround() {
  for (const name of ['Axial', 'Coronal', 'Sagittal', '3-D', 'Three planes and 3-D']) await page.getByRole('button', { name, exact: true }).click()
  const box = await canvasBox()
  const before = await page.locator('.readout').innerText()
  await page.mouse.click(box.x + box.width * 0.2, box.y + box.height * 0.2)
  assert.notEqual(await page.locator('.readout').innerText(), before, 'a click moves the crosshair')
  await page.keyboard.press('2')
  await page.keyboard.press('m')
  await dragAcross(0.35, 0.65)
  assert.equal(await page.evaluate(() => window.viewer.nv.document.completedMeasurements.length), 1)
  await page.keyboard.press('w')
  await dragAcross(0.6, 0.45)
  assert.equal(await page.getByRole('combobox', { name: 'Window' }).inputValue(), 'Custom')
  await shot('measured')
  await page.getByRole('button', { name: 'Clear measurements' }).click()
  await page.keyboard.press('c')
  await page.keyboard.press('1')
}

async function completePrompts() {
  const [first] = await vocabulary()
  const field = page.getByRole('combobox', { name: 'What should be segmented?' })
  await field.fill(first.name.slice(0, 3))
  await page.locator('.suggestion').first().waitFor()
  await shot('completion')
  await field.press('ArrowDown')
  assert.ok(await field.getAttribute('aria-activedescendant'))
  await field.press('Enter')
  assert.equal(await page.locator('.chip').count(), 1)
  await field.press('Backspace')
  assert.equal(await page.locator('.chip').count(), 0)
}

async function segmentByName() {
  for (const { name } of (await vocabulary()).slice(0, 6)) {
    await prompt(name)
    await page.getByRole('button', { name: 'Segment', exact: true }).click()
    await overlayIs(`· ${name}`)
    if ((await labeledVoxels()) > 0) break
    assert.ok(await page.getByText('Not found').isVisible(), 'what is not found is said')
  }
  const voxel = await firstLabeledVoxel()
  assert.ok(voxel, 'the overlay has voxels')
  assert.ok((await page.evaluate(([i, j, k]) => window.viewer.labelAt(i, j, k), voxel)) > 0)
  await page.getByRole('button', { name: /^Go to / }).first().click()
  assert.ok((await coloredPixels()) > 200, 'the overlay is drawn')
  assert.deepEqual(await barriers(page), [])
  await shot('segmented')
  await page.locator('.segment input[type=checkbox]').first().uncheck()
  assert.ok((await coloredPixels()) < 200, 'a hidden segment is not drawn')
  await page.locator('.segment input[type=checkbox]').first().check()
}

async function downloadResult() {
  const started = page.waitForEvent('download')
  await page.getByLabel('Download').selectOption('nii.gz')
  const file = readFileSync(await (await started).path())
  assert.deepEqual([...file.subarray(0, 2)], [0x1f, 0x8b], 'a gzip file')
}

async function correctAndSave() {
  await page.getByRole('tab', { name: 'Correct' }).click()
  await page.getByRole('button', { name: 'Start correcting' }).click()
  await page.getByRole('button', { name: 'Save label' }).waitFor()
  await page.keyboard.press('2')
  const before = await drawnVoxels()
  await dragAcross(0.4, 0.6)
  const painted = await drawnVoxels()
  assert.ok(painted > before, 'the brush paints')
  await page.getByRole('button', { name: 'Undo' }).click()
  assert.equal(await drawnVoxels(), before, 'undo takes the stroke back')
  await dragAcross(0.4, 0.6)
  assert.deepEqual(await barriers(page), [])
  await shot('corrected')
  await page.getByRole('button', { name: 'Save label' }).click()
  await overlayIs('Saved label: final')
  assert.equal(await labeledVoxels(), painted, 'what was painted is what was saved')
  await page.keyboard.press('1')
}

async function reloadOffersLabel() {
  const saved = await labeledVoxels()
  const name = await page.locator('.segment-name').first().innerText()
  await page.reload()
  await ready()
  await overlayIs('Saved label: final')
  assert.equal(await labeledVoxels(), saved)
  assert.equal(await page.locator('.segment-name').first().innerText(), name, 'segments keep their names')
  await shot('reloaded')
}

async function deleteResult() {
  const overlay = page.getByRole('combobox', { name: 'Overlay' })
  const options = overlay.locator('option')
  const before = await options.count()
  await overlay.selectOption({ index: before - 1 })
  const remove = page.getByRole('button', { name: 'Delete this result' })
  await remove.click()
  await page.getByRole('dialog').getByRole('button', { name: 'Keep' }).click()
  assert.equal(await options.count(), before, 'it is kept')
  await remove.click()
  assert.deepEqual(await barriers(page), [])
  await shot('delete_result')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  assert.equal(await options.count(), before - 1, 'it is gone')
  assert.equal(await overlay.inputValue(), '', 'and not shown')
}

async function cancelJob() {
  await choose({ name: `${UPLOADED}_large.nii.gz`, bytes: ballFile({ shape: [160, 160, 160], noise: 50 }) })
  await isOpened('large')
  await prompt(...(await vocabulary()).slice(0, 3).map(({ name }) => name))
  await page.getByRole('button', { name: 'Segment', exact: true }).click()
  await page.getByText(/^Segmenting: [1-9]/).waitFor()
  await shot('running')
  await page.locator('.run').getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Canceled.').waitFor()
  await page.getByRole('button', { name: 'Dismiss' }).click()
  assert.ok(await page.getByText('Nothing is segmented yet.').isVisible())
  await deleteUploaded()
  await page.locator('.study-open').first().click()
  await ready()
}

async function compareResults() {
  await page.getByRole('tab', { name: 'Compare' }).click()
  const [a, b] = ['A', 'B'].map((name) => page.getByRole('combobox', { name, exact: true }))
  await a.selectOption({ index: 1 })
  await b.selectOption({ index: 2 })
  await page.getByRole('table').waitFor()
  assert.match(await page.locator('.scores td').first().innerText(), /^([01]\.\d{3}|only in [AB]|both empty)$/)
  assert.deepEqual(await barriers(page), [])
  await shot('difference')
  await page.getByRole('button', { name: 'Side by side' }).click()
  await page.locator('canvas').nth(1).waitFor()
  await page.waitForFunction(() => document.querySelectorAll('canvas')[1].width > 300)
  await page.waitForTimeout(1500)
  await shot('side_by_side')
  await page.getByRole('button', { name: 'Difference' }).click()
  await page.getByRole('tab', { name: 'Segment' }).click()
}

async function compareSentences() {
  const described = (await vocabulary()).find(({ sentences }) => sentences.length > 1)
  if (!described) return console.log('   the vocabulary has no sentences')
  await prompt(described.name)
  await page.getByRole('button', { name: `Sentences of ${described.name}` }).click()
  await page.getByRole('switch').first().uncheck()
  assert.deepEqual(await barriers(page), [])
  await shot('sentences')
  await page.getByRole('button', { name: 'Compare', exact: true }).click()
  await page.getByRole('table').waitFor({ timeout: LONGEST_JOB_MS })
  const chosen = await page.locator('#panel-compare select').first().evaluate((select) => select.selectedOptions[0].text)
  assert.ok(chosen.includes(`${described.sentences.length} of ${described.sentences.length} sentences`), chosen)
  await shot('sentences_compared')
  await page.getByRole('tab', { name: 'Segment' }).click()
}

async function uploadAndDelete() {
  const [chosen, dropped] = ['chosen', 'dropped'].map((how) => ({ name: `${UPLOADED}_${how}.nii.gz`, bytes: ballFile() }))
  await choose(chosen)
  await isOpened('chosen')
  await drop(dropped)
  await isOpened('dropped')
  await shot('uploaded')
  await deleteUploaded()
}

async function deleteUploaded() {
  const uploaded = page.locator('.study', { hasText: UPLOADED })
  const others = (await page.locator('.study').count()) - (await uploaded.count())
  while ((await uploaded.count()) > 0) {
    await uploaded.first().hover()
    await uploaded.first().getByRole('button', { name: /^Delete / }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  assert.equal(await page.locator('.study').count(), others)
}

async function showHelp() {
  await page.locator('.brand').click()
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
  assert.deepEqual(await barriers(page), [])
  await shot('help')
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
}

async function fitTablet() {
  await page.setViewportSize(TABLET)
  await page.getByRole('button', { name: 'Studies', exact: true }).click()
  await page.locator('.study-open').first().click()
  await ready()
  await page.waitForTimeout(500)
  assert.deepEqual(await barriers(page), [])
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'nothing is cut off')
  await shot('tablet')
  await page.setViewportSize(DESKTOP)
}

async function choose({ name, bytes }) {
  await page.locator('#upload-files').setInputFiles({ name, mimeType: 'application/gzip', buffer: bytes })
}

async function drop({ name, bytes }) {
  await page.evaluate(([name, base64]) => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name))
    document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }))
  }, [name, bytes.toString('base64')])
}

async function isOpened(part) {
  await page.waitForFunction((part) => document.querySelector('.study-open[aria-current=true] .study-name')?.textContent.includes(part), part)
  await ready()
}

async function shot(name) {
  await page.screenshot({ path: join(screenshots, `${name}.png`) })
}

async function ready() {
  await page.waitForFunction(() => window.ready === true)
}

/** Waits for the overlay whose title ends like this. */
async function overlayIs(end) {
  const isShown = (end) => [...document.querySelectorAll('#panel-segment select')].some((select) => select.selectedOptions[0]?.text.endsWith(end))
  await page.waitForFunction(isShown, end, { timeout: LONGEST_JOB_MS })
}

async function prompt(...names) {
  while ((await page.locator('.chip').count()) > 0) await page.locator('.chip').first().getByRole('button', { name: /^Remove / }).click()
  for (const name of names) {
    await page.locator('#prompt').fill(name)
    await page.locator('#prompt').press('Escape')
    await page.locator('#prompt').press('Enter')
  }
}

/** Waits until no job runs. */
async function jobsToEnd() {
  await page.waitForFunction(() => document.querySelector('.run progress') === null, null, { timeout: LONGEST_JOB_MS })
  await page.waitForTimeout(300)
}

function vocabulary() {
  return page.evaluate(async () => {
    const token = sessionStorage.getItem('bipvl-token')
    const headers = token ? { Authorization: `Bearer ${token}` } : {}
    const get = async (path) => (await fetch(`api/${path}`, { headers })).json()
    const [model] = await get('models')
    return (await get(`models/${model.name}/vocabulary`)).concepts
  })
}

function labeledVoxels() {
  return page.evaluate(() => window.viewer.nv.volumes[1]?.img.reduce((count, value) => count + (value > 0), 0) ?? 0)
}

function drawnVoxels() {
  return page.evaluate(() => window.viewer.nv.drawBitmap.reduce((count, value) => count + (value > 0), 0))
}

function firstLabeledVoxel() {
  return page.evaluate(() => {
    const { img, hdr } = window.viewer.nv.volumes[1]
    const [, nx, ny] = hdr.dims
    const at = img.findIndex((value) => value > 0)
    return at < 0 ? null : [at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))]
  })
}

/** Pixels of the canvas that are clearly not gray. */
function coloredPixels() {
  return page.evaluate(() => {
    const { nv } = window.viewer
    nv.drawScene()
    const { gl } = nv
    const { width, height } = gl.canvas
    const pixels = new Uint8Array(4 * width * height)
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels)
    let count = 0
    for (let i = 0; i < pixels.length; i += 4) {
      const [r, g, b] = pixels.subarray(i, i + 3)
      if (Math.max(r, g, b) - Math.min(r, g, b) > 40) count += 1
    }
    return count
  })
}

async function canvasBox() {
  return page.locator('canvas').first().boundingBox()
}

async function dragAcross(from, to) {
  const box = await canvasBox()
  const at = (fraction) => [box.x + box.width * fraction, box.y + box.height * fraction]
  await page.mouse.move(...at(from))
  await page.mouse.down()
  for (let step = 1; step <= 10; step++) await page.mouse.move(...at(from + ((to - from) * step) / 10))
  await page.mouse.up()
  await page.waitForTimeout(100)
}
