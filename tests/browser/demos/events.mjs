// `/demo/events`.

import { equal } from '../../conformance/clients/lib/suite.mjs';

const panel = (page, stream) => page.locator(`[data-stream="${stream}"]`);

/** The lines of a panel's log, once there are so many. */
async function lines(page, stream, count) {
  await panel(page, stream).locator(`.log li:nth-child(${count}) p`).waitFor();
  return panel(page, stream).locator('.log p').allTextContents();
}

const opened = (page, stream) => panel(page, stream).locator('.state[data-state=live]').waitFor();

export default {
  'what one sends, both hear, as text': async ({ open, shot }) => {
    const [one, two] = [await open('/demo/events'), await open('/demo/events')];
    for (const page of [one, two]) await opened(page, '/events/stream');
    const markup = '<img src=x onerror=alert(1)> & "quotes"';
    await one.fill('input[name=message]', markup);
    await one.keyboard.press('Enter');
    for (const page of [one, two]) {
      equal(await lines(page, '/events/stream', 1), [`data: ${JSON.stringify({ message: markup })}`], 'the log');
      equal(await page.locator('.log img').count(), 0, 'elements made from a message');
    }
    await shot(one, 'events');
  },

  'a stream that was broken goes on behind the last number': async ({ open, shot }) => {
    const page = await open('/demo/events');
    await lines(page, '/events/resumable', 2);
    await page.click('#break');
    const log = panel(page, '/events/resumable').locator('.log');
    await log.locator('.own').waitFor();
    await log.locator('.own + li').waitFor();
    const said = await log.locator('p').allTextContents();
    const ids = said.map((text) => /^id: (\d+)\ndata: Event \1$/.exec(text)?.[1]).filter(Boolean);
    equal(ids, ids.map((_, at) => String(at + 1)), 'all numbers, in order');
    equal(said.some((text) => text === `GET with Last-Event-ID: ${ids.at(-2)}`), true, 'that it was asked for what is behind');
    equal(await page.textContent('#missing'), '0', 'numbers that are missing');
    equal(await page.textContent('#breaks'), '1', 'breaks');
    await shot(page, 'events-resumed');
  },

  'each stream is started and stopped by its button, from the keyboard too': async ({ open }) => {
    const page = await open('/demo/events');
    const stream = '/events/typed';
    const button = panel(page, stream).locator('button');
    await button.focus();
    await page.keyboard.press('Enter');
    equal(await lines(page, stream, 3), [
      'event: message\ndata: Hello',
      'event: notification\ndata: New notification!',
      'event: update\ndata: {"count": 10}',
    ], 'the first round');
    equal(await button.textContent(), 'Stop', 'what the button does next');
    await button.click();
    equal(await panel(page, stream).locator('.state').textContent(), 'stopped', 'the state');
    for (const [other, first] of [['/events', 'data: Connected'], ['/events/retry', 'data: Connected']]) {
      await panel(page, other).locator('button').click();
      equal((await lines(page, other, 1))[0], first, other);
    }
  },
};
