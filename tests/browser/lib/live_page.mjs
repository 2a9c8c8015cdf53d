// The server's own page, `GET /`, used the way a person uses it. It can be read only with a
// driver, so it is tested in Chromium alone.

import { Fanwire, freshChannel } from '../../conformance/clients/lib/fanwire.mjs';
import { equal, WAIT_LIMIT } from '../../conformance/clients/lib/suite.mjs';

/** Opens the page on a channel and waits until it listens; complaints of its console come along. */
async function open(browser, base, channel, { defer }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_LIMIT);
  defer(() => page.close());
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (line) => line.type() === 'error' && complaints.push(line.text()));
  await page.goto(`${base}/#${channel}`);
  await page.waitForSelector('#state[data-state=live]');
  return { page, complaints };
}

/** The bodies on the page, oldest first, once there are `count` of them. */
async function bodies(page, count) {
  await page.waitForFunction(
    (wanted) => document.querySelectorAll('#tail li:not(.notice)').length >= wanted,
    count,
  );
  const texts = await page.locator('#tail li:not(.notice) p').allTextContents();
  return texts.reverse();
}

/** The tests; `control` is the URL of the stage's control door. */
export function livePageTests(browser, base, control) {
  const fanwire = new Fanwire(base, control);
  return {
    'it shows what is published, as text, and publishes': async (test) => {
      const channel = freshChannel('page');
      const { page, complaints } = await open(browser, base, channel, test);
      const markup = '<img src=x onerror=alert(1)> & "quotes"';
      await fanwire.publish(channel, markup);
      await bodies(page, 1);
      await page.fill('#message', 'typed in the page');
      await page.click('#publish button');
      equal(await bodies(page, 2), [markup, 'typed in the page'], 'on the page');
      equal(await page.locator('#tail img').count(), 0, 'elements made from a message');
      equal(complaints, [], 'complaints of the console');
    },

    'it comes back after a cut and shows what it missed': async (test) => {
      const channel = freshChannel('page');
      const { page } = await open(browser, base, channel, test);
      await fanwire.publish(channel, 'before');
      await bodies(page, 1);
      await fanwire.outage([
        { channel, body: 'missed 1' },
        { channel, body: 'missed 2' },
      ]);
      equal(await bodies(page, 3), ['before', 'missed 1', 'missed 2'], 'on the page');
      await page.waitForSelector('#state[data-state=live]');
      await fanwire.publish(channel, 'after');
      equal(await bodies(page, 4), ['before', 'missed 1', 'missed 2', 'after'], 'on the page');
    },
  };
}
