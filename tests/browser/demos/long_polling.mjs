// `/demo/long-polling`, used by two people.

import { equal } from '../../conformance/clients/lib/suite.mjs';

const texts = (page, count) =>
  page.waitForFunction(
    (wanted) => {
      const lines = [...document.querySelectorAll('#messages p')].map((line) => line.textContent);
      return lines.length >= wanted && lines;
    },
    count,
  ).then((lines) => lines.jsonValue());

export default {
  'what one adds, the other sees at once, as text': async ({ open, shot }) => {
    const [one, two] = [await open('/demo/long-polling'), await open('/demo/long-polling')];
    await two.waitForSelector('.state[data-state=live]');
    const markup = '<img src=x onerror=alert(1)> & "quotes"';
    await one.fill('input[name=text]', markup);
    await one.keyboard.press('Enter');
    await two.fill('input[name=text]', 'an answer');
    await two.keyboard.press('Enter');
    for (const page of [one, two]) {
      equal((await texts(page, 2)).slice(-2), [markup, 'an answer'], 'on the page');
      equal(await page.locator('#messages img').count(), 0, 'elements made from a message');
    }
    await shot(two, 'long-polling');
  },

  'who comes later gets what there was, with its first request': async ({ open }) => {
    const before = await open('/demo/long-polling');
    await before.fill('input[name=text]', 'said before');
    await before.click('#say button');
    const all = await texts(before, 1);
    const late = await open('/demo/long-polling');
    const seen = await texts(late, all.length);
    equal(seen.at(-1), 'said before', 'the last one');
  },
};
