// Draws the icons that some systems want as PNG from the SVGs beside them: `node packages/demo/icons.mjs`.
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { chromiumArgs, chromiumPath } from '../../scripts/chromium.mjs'
import { inRoot, main } from '../../scripts/project.mjs'

const ICONS = [
  ['icon.svg', 'icon-192.png', 192],
  ['icon.svg', 'icon-512.png', 512],
  ['icon-maskable.svg', 'icon-maskable-512.png', 512],
  ['icon-maskable.svg', 'icon-apple.png', 180], // Apple's systems cut the corners themselves
]

await main(async () => {
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: chromiumArgs() })
  const page = await browser.newPage()
  for (const [from, to, size] of ICONS) {
    const svg = readFileSync(inRoot(`packages/demo/public/${from}`), 'utf8')
    await page.setViewportSize({ width: size, height: size })
    await page.setContent(`<style>body { margin: 0 } svg { display: block; width: 100vw }</style>${svg}`)
    await page.screenshot({ path: inRoot(`packages/demo/public/${to}`), omitBackground: true })
  }
  await browser.close()
})
