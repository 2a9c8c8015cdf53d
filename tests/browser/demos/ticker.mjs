// `/demo/ticker`.

import { check, equal } from '../../conformance/clients/lib/suite.mjs';

const asked = (page, count) =>
  page.waitForFunction((wanted) => Number(document.querySelector('#requests').textContent) >= wanted, count);
const prices = (page) => page.evaluate(() =>
  [...document.querySelectorAll('#stocks tbody td:first-of-type')].map((cell) => Number(cell.textContent.replaceAll(',', ''))));

export default {
  'prices move, each request brings what has changed, and the costs are counted': async ({ open, shot }) => {
    const page = await open('/demo/ticker');
    await page.waitForSelector('#stocks tbody tr:nth-child(8)');
    const before = await prices(page);
    await page.waitForFunction((was) => {
      const now = [...document.querySelectorAll('#stocks tbody td:first-of-type')];
      return now.some((cell, at) => Number(cell.textContent.replaceAll(',', '')) !== was[at]);
    }, before);
    await asked(page, 4);
    for (const id of ['bytes', 'each', 'waited']) {
      check(/\d/.test(await page.textContent(`#${id}`)), `#${id} is a number`);
    }
    const lines = await page.locator('#stocks .spark .line').evaluateAll((all) => all.map((one) => one.getAttribute('d')));
    check(lines.length === 8 && lines.every((d) => d.startsWith('M')), 'a line for each');
    await shot(page, 'ticker');
  },

  'the keyboard sorts': async ({ open }) => {
    const page = await open('/demo/ticker');
    await page.waitForSelector('#stocks tbody tr:nth-child(8)');
    const button = page.getByRole('button', { name: 'Price' });
    for (const [direction, sign] of [['descending', -1], ['ascending', 1]]) {
      await button.focus();
      await page.keyboard.press('Enter');
      const shown = await prices(page);
      equal(shown, [...shown].sort((a, b) => sign * (a - b)), direction);
      const heads = page.locator('#stocks th[aria-sort]');
      equal(await heads.count(), 1, 'columns that sort');
      equal(await heads.getAttribute('aria-sort'), direction, 'what is said of it');
    }
  },

  'in a pause nothing is asked, and then what was missed comes': async ({ open }) => {
    const [page, other] = [await open('/demo/ticker'), await open('/demo/ticker')];
    await asked(page, 2);
    let requests = 0;
    await page.click('#pause');
    page.on('request', () => { requests += 1; });
    await page.locator('.state', { hasText: 'paused' }).waitFor();
    const seen = Number(await other.textContent('#requests'));
    await asked(other, seen + 3);
    equal(requests, 0, 'requests in the pause');
    await page.click('#pause');
    await page.waitForSelector('.state[data-state=live]');
    check(requests >= 1, 'it asks again');
    await other.click('#pause');
    await page.click('#pause');
  },

  'who wants no motion gets none': async ({ open }) => {
    const page = await open('/demo/ticker', { reducedMotion: 'reduce' });
    await page.waitForSelector('#stocks tbody tr:is(.rose, .fell)');
    const motion = await page.locator('#stocks tbody tr:is(.rose, .fell)').first()
      .evaluate((row) => getComputedStyle(row).animationName);
    equal(motion, 'none', 'animations');
  },
};
