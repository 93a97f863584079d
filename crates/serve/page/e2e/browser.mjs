import axe from 'axe-core'
import { chromium } from 'playwright-core'

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  // WebGL 2 without a GPU.
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
]

export const DESKTOP = { width: 1280, height: 800 }
export const TABLET = { width: 820, height: 1180 }

/** A page that notes every error and every request that leaves the origin. */
export async function openBrowser(baseUrl) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS })
  const page = await browser.newPage({ viewport: DESKTOP, acceptDownloads: true })
  const troubles = []
  const { origin } = new URL(baseUrl)
  page.on('pageerror', (error) => troubles.push(`error in the page: ${error.stack}`))
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(`console: ${message.text()} ${message.location().url}`)
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.origin !== origin && !['blob:', 'data:'].includes(url.protocol)) troubles.push(`request to ${url}`)
  })
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))
  })
  return { browser, page, troubles }
}

/** What axe-core finds serious or critical. */
export async function barriers(page) {
  await page.evaluate(axe.source)
  const violations = await page.evaluate(async () => (await window.axe.run(document)).violations)
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} (${failureSummary})`).join('; ')}`)
}
