// `/`, its links, and what holds for every page.

import { check, equal } from '../../conformance/clients/lib/suite.mjs';

/** Where the cards lead. */
const demos = (page) => page.locator('.card h2 a').evaluateAll((all) => all.map((a) => a.pathname));

/** The luminance of a colour (WCAG 2.2). */
function luminance(rgb) {
  const [r, g, b] = rgb.match(/[\d.]+/g).map(Number)
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export default {
  'it leads to every demo, and to the source of each': async ({ open, url, shot }) => {
    const page = await open('/');
    const paths = await demos(page);
    equal(paths.length > 0, true, 'that there are demos');
    const sources = await page.locator('.card .more a').evaluateAll((all) => all.map((a) => a.pathname));
    equal(sources.length, paths.length, 'sources');
    for (const path of [...paths, ...sources]) {
      equal((await page.request.get(url + path)).status(), 200, path);
    }
    const typed = await page.textContent('.try code');
    check(typed.includes(`curl -N ${url}/`), 'what is typed in a terminal reaches this server');
    await shot(page, 'index');
    await page.goto(url + sources[0]);
    await page.waitForSelector('pre.source .word');
    const text = await page.locator('pre.source').textContent();
    check(text.startsWith('//!') && text.includes('pub(crate)'), 'the source is the file');
    await shot(page, 'source');
  },

  'on every page all that is loaded comes from here, and nothing is wider than a telephone': async ({ open, url }) => {
    const index = await open('/');
    for (const path of ['/', ...(await demos(index))]) {
      const page = await open(path, { viewport: { width: 320, height: 640 } });
      await page.waitForLoadState('load');
      const elsewhere = await page.evaluate((origin) => performance.getEntriesByType('resource')
        .map((entry) => entry.name).filter((name) => !name.startsWith(origin) && !name.startsWith('data:')), url);
      equal(elsewhere, [], `loaded from elsewhere by ${path}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(wide <= 0, `${path} is ${wide} pixels too wide`);
      await page.context().close();
    }
  },

  'text can be read in the light and in the dark': async ({ open }) => {
    // All pages have their colours from one sheet.
    for (const colorScheme of ['light', 'dark']) {
      const page = await open('/', { colorScheme });
      const [ink, faint, paper] = await page.evaluate(() => {
        const read = (name) => {
          const probe = document.createElement('i');
          probe.style.color = `var(${name})`;
          document.body.append(probe);
          const { color } = getComputedStyle(probe);
          probe.remove();
          return color;
        };
        return [read('--ink'), read('--faint'), getComputedStyle(document.body).backgroundColor];
      });
      for (const colour of [ink, faint]) {
        const [low, high] = [luminance(colour), luminance(paper)].sort((a, b) => a - b);
        const contrast = (high + 0.05) / (low + 0.05);
        check(contrast >= 4.5, `${colorScheme}: ${colour} on ${paper} has ${contrast.toFixed(2)}`);
      }
      await page.context().close();
    }
  },

  'the keyboard reaches everything: each control has a name, and the way past the header comes first': async ({ open }) => {
    const index = await open('/');
    for (const path of ['/', ...(await demos(index))]) {
      const page = await open(path);
      await page.waitForLoadState('load');
      const nameless = await page.evaluate(() =>
        [...document.querySelectorAll('button, input, select, textarea, a[href], canvas')]
          .filter((one) => one.checkVisibility?.() ?? true)
          .filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby')
            || one.title || one.labels?.length || one.value))
          .map((one) => one.outerHTML.slice(0, 120)));
      equal(nameless, [], `controls without a name on ${path}`);
      const first = await page.evaluate(() => document.querySelector('a[href], button, input').className);
      equal(first, 'skip', `what Tab reaches first on ${path}`);
      const positive = await page.locator('[tabindex]:not([tabindex="0"]):not([tabindex="-1"])').count();
      equal(positive, 0, `elements that jump the order on ${path}`);
      await page.context().close();
    }
  },

  'the theme is chosen and kept': async ({ open }) => {
    const page = await open('/', { colorScheme: 'light' });
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await paper();
    await page.click('button.theme');
    await page.click('button.theme');
    equal(await page.textContent('button.theme span'), 'dark', 'the theme');
    const dark = await paper();
    check(light !== dark, 'the page changes');
    await page.reload();
    await page.waitForSelector('html[data-theme=dark]');
    equal(await paper(), dark, 'after a reload');
  },
};
