// `/demo/dashboard`, watched by two people.

import { check, equal } from '../../conformance/clients/lib/suite.mjs';

const live = (page) => page.waitForSelector('.state[data-state=live]');
const toast = (page, text) => page.locator('.toast', { hasText: text });

async function two(open) {
  const pages = [await open('/demo/dashboard'), await open('/demo/dashboard')];
  for (const page of pages) await live(page);
  return pages;
}

async function tell(page, text, kind) {
  await page.selectOption('#notify [name=kind]', kind);
  await page.fill('#notify [name=text]', text);
  await page.keyboard.press('Enter');
}

/** Begins a job; gives its line on a page by the number it got. */
async function begin(page, work, below) {
  await page.selectOption('#job [name=work]', work);
  await page.selectOption('#job [name=below]', below);
  const [answer] = await Promise.all([page.waitForResponse('**/dashboard/jobs'), page.click('#job button')]);
  const { id } = await answer.json();
  return (watcher) => watcher.locator('#jobs li', { has: watcher.locator('strong', { hasText: new RegExp(`^${id}\\.`) }) });
}

export default {
  'what one tells, both read, as text, and each dismisses it alone': async ({ open, shot }) => {
    const [one, other] = await two(open);
    const markup = '<img src=x onerror=alert(1)> & "quotes"';
    await tell(one, markup, 'warning');
    for (const page of [one, other]) {
      await toast(page, markup).waitFor();
      equal(await toast(page, markup).locator('img').count(), 0, 'elements made from a text');
      check(await toast(page, markup).evaluate((item) => item.classList.contains('warning')), 'its kind');
    }
    await one.waitForSelector('#notices[aria-live=polite]');
    await toast(one, markup).getByRole('button').focus();
    await one.keyboard.press('Enter');
    await toast(one, markup).waitFor({ state: 'detached' });
    check(await one.evaluate(() => document.activeElement !== document.body), 'the focus goes to something near');
    equal(await toast(other, markup).count(), 1, 'on the other page');
    await shot(other, 'dashboard-told');
  },

  'a job is one bar for all, for who comes late too, and who cancels it does so for all': async ({ open, shot }) => {
    const [one, other] = await two(open);
    const job = await begin(one, 'primes', '10000000000');
    const behind = await begin(other, 'collatz', '1000000');
    const late = await open('/demo/dashboard');
    for (const page of [one, other, late]) {
      await job(page).locator('p', { hasText: /%.*numbers\/s.*left/ }).waitFor();
      await behind(page).locator('p', { hasText: 'waits for its turn' }).waitFor();
    }
    const bar = () => job(other).locator('progress').evaluate((progress) => progress.value);
    const before = await bar();
    const handle = await job(other).locator('progress').elementHandle();
    await other.waitForFunction(([progress, was]) => progress.value > was, [handle, before]);
    check((await bar()) > before, 'the bar moves');
    await shot(other, 'dashboard-job');
    await job(other).getByRole('button').focus();
    await other.keyboard.press('Enter');
    for (const page of [one, other, late]) {
      await job(page).locator('p', { hasText: /^cancelled at/ }).waitFor();
      // The next one began, and came to its end.
      await behind(page).locator('p', { hasText: 'from 837799 it takes 524 steps' }).waitFor();
      await toast(page, 'from 837799 it takes 524 steps').waitFor();
    }
  },

  'the figures are measured and drawn': async ({ open }) => {
    const page = await open('/demo/dashboard');
    const figure = (name) => page.locator('.charts div', { has: page.locator('dt', { hasText: name }) });
    await figure('Memory').locator('dd', { hasText: /^[\d.]+ MiB$/ }).first().waitFor();
    // This page's own, once it was looked at.
    await figure('Connections').locator('dd', { hasText: /^[1-9]\d*$/ }).first().waitFor();
    for (const name of ['Deliveries', 'Connections', 'Subscribers', 'Memory', 'CPU']) {
      const path = figure(name).locator('path.line');
      check(/^M[\d. ]+(L|$)/.test(await path.getAttribute('d')), `a line for ${name}`);
    }
  },

  'the log is followed, held and filtered': async ({ open, shot }) => {
    const page = await open('/demo/dashboard');
    await live(page);
    const entry = (text) => page.locator('#log li', { hasText: text });
    await tell(page, 'a line of error', 'error');
    await entry('a line of error').waitFor();
    equal(await entry('a line of error').getAttribute('class'), 'ERROR', 'its level');
    await shot(page, 'dashboard-log');
    await page.uncheck('input[value=ERROR]');
    await entry('a line of error').waitFor({ state: 'hidden' });
    await page.check('input[value=ERROR]');
    await entry('a line of error').waitFor();

    await page.click('#pause');
    await tell(page, 'while it is held', 'info');
    await page.locator('#pause', { hasText: /^Go on \(\d+ new\)$/ }).waitFor();
    equal(await entry('while it is held').count(), 0, 'lines written in a pause');
    await page.click('#pause');
    await entry('while it is held').waitFor();
    equal(await page.getAttribute('#pause', 'aria-pressed'), 'false', 'the button');
  },
};
