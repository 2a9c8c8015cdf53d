// `/demo/chat`, used by two people.

import { equal } from '../../conformance/clients/lib/suite.mjs';

async function join(page, name) {
  await page.waitForSelector('.state[data-state=live]');
  await page.fill('input[name=username]', name);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#say:not([hidden])');
}

async function say(page, text) {
  await page.fill('input[name=text]', text);
  await page.keyboard.press('Enter');
}

/** Waits until the conversation has a line of this text. */
const line = (page, text) => page.locator('#messages p').getByText(text, { exact: true }).waitFor();
/** Waits until it says that somebody came or left; who of an earlier test is still here counts, too. */
const told = (page, what) => page.locator('#messages p').getByText(new RegExp(`^${what}; \\d+ now$`)).waitFor();
const people = (page) => page.locator('#people li').allTextContents();

export default {
  'two people talk, see each other type, and whisper': async ({ open, shot }) => {
    const [ann, bob] = [await open('/demo/chat'), await open('/demo/chat')];
    await join(ann, 'Ann <b>');
    await join(bob, 'Bob');
    await told(ann, 'Bob is here');
    equal((await people(ann)).slice(0, 2), ['Ann <b> (you)', 'Bob'], 'whom Ann sees');
    equal((await people(bob)).slice(0, 2), ['Bob (you)', 'Ann <b>'], 'whom Bob sees');
    await bob.locator('input[name=text]').pressSequentially('I am');
    await ann.locator('#typing').getByText('Bob is typing …').waitFor();
    await say(bob, '<img src=x onerror=alert(1)> & "quotes"');
    for (const page of [ann, bob]) {
      await line(page, 'Bob <img src=x onerror=alert(1)> & "quotes"');
      equal(await page.locator('#messages img, #people b').count(), 0, 'elements made from a text');
    }
    await ann.waitForFunction(() => document.querySelector('#typing').textContent === '');
    await ann.locator('#people button').getByText('Bob').click();
    await say(ann, 'psst');
    await line(ann, 'to Bob alone: psst');
    await line(bob, 'Ann <b>, to you alone: psst');
    await shot(ann, 'chat');
    await bob.close();
    await told(ann, 'Bob has left');
    equal((await people(ann)).includes('Bob'), false, 'that Bob is still shown');
  },

  'whose name was taken while away is asked for another': async ({ open }) => {
    const [one, two] = [await open('/demo/chat'), await open('/demo/chat')];
    await join(one, 'Eve');
    // As a browser does that keeps the page for the way back.
    await one.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    await join(two, 'Eve');
    await one.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await one.locator('.said[data-state=bad]').getByText('somebody has that name already').waitFor();
    equal(await one.inputValue('#join input'), 'Eve', 'what is to be changed');
    await join(one, 'Eve the first');
    await told(two, 'Eve the first is here');
  },

  'who has scrolled up is left there': async ({ open }) => {
    const page = await open('/demo/chat');
    const other = await open('/demo/chat');
    await join(page, 'Reader');
    await join(other, 'Writer');
    for (const n of [1, 2]) {
      await say(other, 'word '.repeat(700) + n);
      await page.waitForFunction((all) => document.querySelectorAll('#messages b').length >= all, n);
    }
    await page.locator('#messages').evaluate((list) => { list.scrollTop = 5; });
    await say(other, 'unseen');
    await line(page, 'Writer unseen');
    equal(await page.locator('#messages').evaluate((list) => list.scrollTop), 5, 'where it stands');
  },

  'a name that is taken is refused with a sentence': async ({ open }) => {
    const [one, two] = [await open('/demo/chat'), await open('/demo/chat')];
    await join(one, 'Cäcilie');
    await two.waitForSelector('.state[data-state=live]');
    await two.fill('input[name=username]', 'cäcilie');
    await two.click('#join button');
    await two.locator('.said[data-state=bad]').getByText('somebody has that name already').waitFor();
    await join(two, 'Dora');
    await told(one, 'Dora is here');
  },
};
