// `/demo/one-order`: four transports in one page, and in two.

import { equal } from '../../conformance/clients/lib/suite.mjs';

const WAYS = ['WebSocket', 'Server-Sent Events', 'Long polling', 'Socket.IO'];

/** Waits until all four have heard `count`, and agree. */
async function heard(page, count) {
  await page.waitForFunction(
    (wanted) => {
      const verdict = document.querySelector('#verdict');
      return verdict.dataset.state === 'live' && Number(verdict.dataset.count) >= wanted;
    },
    count,
  );
  return page.locator('.count').allTextContents();
}

const listening = (page) => page.waitForSelector('#verdict[data-state=live]');

export default {
  'what is published once is heard four times, here and elsewhere, as text': async ({ open, shot }) => {
    const [one, two] = [await open('/demo/one-order'), await open('/demo/one-order')];
    await Promise.all([one, two].map(listening));
    const markup = '<b>bold</b> & "quotes"';
    await one.fill('input[name=text]', markup);
    await one.keyboard.press('Enter');
    for (const page of [one, two]) {
      equal(await heard(page, 1), ['1', '1', '1', '1'], 'heard');
      equal(await page.locator('.way .log p').allTextContents(), Array(4).fill(markup), 'the texts');
    }
    await one.click('#burst');
    for (const page of [one, two]) equal(await heard(page, 101), Array(4).fill('101'), 'heard');
    await shot(one, 'one-order');
  },

  'whichever is cut comes back where it was': async ({ open }) => {
    const page = await open('/demo/one-order');
    await listening(page);
    for (const way of WAYS) await page.click(`[data-way="${way}"] .cut`);
    await page.locator('#verdict[data-state=waiting]').getByText('of 4 not connected').waitFor();
    await page.click('#burst');
    equal(await heard(page, 100), Array(4).fill('100'), 'heard, each once');
    await page.waitForFunction(() => document.querySelectorAll('.way .state[data-state=live]').length === 4);
  },
};
