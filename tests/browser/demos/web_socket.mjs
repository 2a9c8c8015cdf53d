// `/demo/web-socket`, used by two people.

import { equal } from '../../conformance/clients/lib/suite.mjs';

async function come(open) {
  const page = await open('/demo/web-socket');
  await page.waitForSelector('.state[data-state=live]');
  return page;
}

const line = (page, text) => page.locator('#messages p').getByText(text, { exact: true }).waitFor();

/** The digests of what came, newest first, once there are so many. */
async function digests(page, count) {
  await page.waitForFunction((wanted) => document.querySelectorAll('#received [data-digest]').length >= wanted, count);
  return page.locator('#received li').evaluateAll((all) => all.map((one) => one.dataset.digest));
}

const sha256 = async (bytes) => Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');

/** A file of 8 MB in which no two pieces are alike. */
function large() {
  const numbers = new Uint32Array(2_000_000);
  numbers.forEach((_, at) => { numbers[at] = Math.imul(at, 2_654_435_761); });
  return Buffer.from(numbers.buffer);
}

export default {
  'what one writes, all read, as text': async ({ open }) => {
    const [one, two] = [await come(open), await come(open)];
    for (const page of [one, two]) await line(page, 'Connected to server!');
    const markup = '<img src=x onerror=alert(1)> & "quotes"';
    await one.fill('input[name=text]', markup);
    await one.keyboard.press('Enter');
    for (const page of [one, two]) {
      await line(page, markup);
      equal(await page.locator('#messages img').count(), 0, 'elements made from a text');
    }
  },

  'a file of 8 MB reaches both byte for byte, and an image is shown': async ({ open, shot }) => {
    const [one, two] = [await come(open), await come(open)];
    const file = large();
    const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
    await one.setInputFiles('#file', [
      { name: 'large <b>.bin', mimeType: 'text/html', buffer: file },
      { name: 'pixel.png', mimeType: 'image/png', buffer: pixel },
    ]);
    const expected = [await sha256(pixel), await sha256(file)];
    for (const page of [one, two]) equal(await digests(page, 2), expected, 'what came');
    await two.waitForFunction(() => document.querySelector('#received img').naturalWidth === 1);
    const [saved] = await Promise.all([two.waitForEvent('download'), two.click('#received li:nth-child(2) a')]);
    equal(saved.suggestedFilename().endsWith('.bin'), true, 'the name that it is saved under');
    await one.locator('#progress').getByText('pixel.png: 0.1 kB of 0.1 kB').waitFor();
    await shot(two, 'web-socket');
  },

  'a file that is too large is refused before it is sent': async ({ open }) => {
    const page = await come(open);
    await page.setInputFiles('#file', { name: 'huge.bin', mimeType: '', buffer: Buffer.alloc(17_000_000) });
    await page.locator('.said[data-state=bad]').getByText('huge.bin has 17.0 MB; at most 16.8 MB are taken').waitFor();
    await page.fill('input[name=text]', 'still connected');
    await page.keyboard.press('Enter');
    await line(page, 'still connected');
  },
};
