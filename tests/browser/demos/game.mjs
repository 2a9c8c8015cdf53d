// `/demo/game`, played in two windows.

import { check, equal } from '../../conformance/clients/lib/suite.mjs';

const play = async (page, name) => {
  await page.fill('#play input[name=name]', name);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#play', { state: 'hidden' });
  await page.waitForFunction(() => window.game.comets.find((comet) => comet.number === window.game.you)?.mode > 0);
};

const rows = (page) => page.locator('#board tbody tr').evaluateAll((all) => all.map((row) => row.dataset.name));
const seen = (page, name) => page.waitForSelector(`#board tr[data-name="${name}"]`);
const gone = (page, name) => page.waitForSelector(`#board tr[data-name="${name}"]`, { state: 'detached' });
const comet = (page, name) => page.evaluate((one) => window.game.comets.find((each) => each.name === one), name);

/** The key that brings the own comet nearer to the middle. */
const towardsMiddle = (page, axis) => page.evaluate((along) => {
  const own = window.game.comets.find((one) => one.number === window.game.you);
  if (along === 'x') return own.x < 640 * 8 ? 'ArrowRight' : 'ArrowLeft';
  return own.y < 400 * 8 ? 'ArrowDown' : 'ArrowUp';
}, axis);

/** Whether a comet flies along an axis, and not a bit beside it: for the page. */
const straight = ([name, along]) => {
  const now = window.game.comets.find((one) => one.name === name);
  const { before } = window;
  window.before = now;
  const across = along === 'x' ? 'y' : 'x';
  return now && before && now[across] === before[across] && now[along] !== before[along];
};

export default {
  'two windows see each other by name, and where the other flies': async ({ open, shot }) => {
    const [one, two] = [await open('/demo/game'), await open('/demo/game', { colorScheme: 'dark' })];
    await play(one, 'Ada <b>');
    await play(two, 'Grace');
    await seen(one, 'Grace');
    await seen(two, 'Ada <b>');
    equal(await one.locator('#board b').count(), 0, 'elements made from a name');
    // With the keys, to where there is room: the other window sees it fly exactly there.
    await one.keyboard.press(await towardsMiddle(one, 'y'));
    await two.waitForFunction(straight, ['Ada <b>', 'y']);
    await one.keyboard.press(await towardsMiddle(one, 'x'));
    await two.waitForFunction(straight, ['Ada <b>', 'x']);
    await shot(one, 'game');
    await shot(two, 'game-dark');
    await one.context().close();
    await gone(two, 'Ada <b>');
  },

  'sparks count on both boards': async ({ open }) => {
    const [one, two] = [await open('/demo/game'), await open('/demo/game')];
    await play(one, 'Gatherer');
    await play(two, 'Onlooker');
    // In a spiral that widens: on one circle there may be too few sparks.
    const keys = ['ArrowUp', 'ArrowRight', 'ArrowDown', 'ArrowLeft'];
    for (let turn = 0; ((await comet(one, 'Gatherer'))?.score ?? 0) < 2; turn += 1) {
      check(turn < 200, 'nothing was gathered');
      await one.keyboard.press(keys[Math.floor(Math.sqrt(turn)) % 4]);
      await one.waitForTimeout(100);
    }
    await two.waitForFunction(() => Number(document.querySelector('#board tr[data-name="Gatherer"]')?.dataset.score) > 0);
    await one.waitForFunction(() => document.querySelector('#standing').textContent !== '');
  },

  'bots are company for one, and are said to be bots': async ({ open }) => {
    const page = await open('/demo/game');
    await play(page, 'Alone');
    await page.waitForFunction(() => window.game.comets.filter((one) => one.bot).length === 3);
    await page.waitForFunction(() => document.querySelectorAll('#board tr[data-bot=true] .faint').length === 3);
    const other = await open('/demo/game');
    await play(other, 'Company');
    await page.waitForFunction(() => window.game.comets.every((one) => !one.bot));
    await other.waitForFunction(() => document.querySelectorAll('#board tbody tr').length === 2);
    equal((await rows(other)).sort(), ['Alone', 'Company'], 'who is on the board');
  },

  'Tab leaves the arena, and keys in the form are letters': async ({ open }) => {
    const page = await open('/demo/game');
    await page.locator('#play input[name=name]').pressSequentially('wasd wasd');
    equal(await page.inputValue('#play input[name=name]'), 'wasd wasd', 'the name');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#play', { state: 'hidden' });
    equal(await page.evaluate(() => document.activeElement.id), 'arena', 'what has the focus');
    await page.keyboard.press('Tab');
    check(await page.evaluate(() => document.activeElement.id !== 'arena'), 'Tab goes on');
  },

  'a page whose connection ends comes back, under its name': async ({ open, url }) => {
    const page = await open('/');
    const connections = [];
    let second;
    const again = new Promise((done) => { second = done; });
    await page.routeWebSocket(/\/c\/game:arena$/, (socket) => {
      socket.connectToServer();
      if (connections.push(socket) === 2) second();
    });
    await page.goto(`${url}/demo/game`);
    await play(page, 'Returning');
    await connections[0].close({ code: 1012 });
    await again;
    await page.waitForFunction(() => window.game?.comets.some((one) => one.name.startsWith('Returning') && one.number === window.game.you));
    equal(await page.locator('#play').isVisible(), false, 'whether it is asked again');
  },

  'a page that nobody sees keeps up, and goes on from there when it is seen': async ({ open, url }) => {
    const [seen, unseen] = [await open('/demo/game'), await open('/')];
    // What a browser does to a page behind others: it is not drawn any more.
    await unseen.addInitScript(() => {
      const draw = window.requestAnimationFrame.bind(window);
      let waiting = [];
      let hidden = false;
      window.requestAnimationFrame = (then) => (hidden ? waiting.push(then) : draw(then));
      Object.defineProperty(document, 'hidden', { get: () => hidden });
      window.hide = (yes) => {
        hidden = yes;
        if (!yes) waiting.splice(0).forEach(draw);
      };
    });
    await unseen.goto(`${url}/demo/game`);
    const tick = (page) => page.evaluate(() => window.game.tick);
    const reaches = (page, wanted) => page.waitForFunction((least) => window.game?.tick >= least, wanted, { polling: 50 });
    await reaches(unseen, 1);
    await unseen.evaluate(() => window.hide(true));
    const begun = await tick(unseen);
    await reaches(seen, begun + 60);
    await reaches(unseen, begun + 60);
    await unseen.evaluate(() => window.hide(false));
    await play(unseen, 'Back');
    await seen.waitForFunction(() => window.game.comets.some((one) => one.name === 'Back'));
    const [one, two] = [await tick(seen), await tick(unseen)];
    check(one - two <= 25, `it is ${one - two} ticks behind what the other showed before`);
  },

  'where the system has colours of its own the arena is seen': async ({ open }) => {
    const page = await open('/demo/game', { forcedColors: 'active' });
    await page.waitForFunction(() => {
      const canvas = document.querySelector('#arena');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set(new Uint32Array(data.buffer));
      return window.game?.sparks > 0 && colours.size > 20;
    });
  },

  'on a telephone a finger steers': async ({ open, shot }) => {
    const page = await open('/demo/game', { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
    await play(page, 'Thumb');
    check(await page.locator('#boost').isVisible(), 'there is a button to boost');
    const finger = (type, x, y) => page.evaluate(([kind, offsetX, offsetY]) => {
      const canvas = document.querySelector('#arena');
      const { left, top } = canvas.getBoundingClientRect();
      canvas.dispatchEvent(new PointerEvent(kind, {
        pointerType: 'touch', pointerId: 7, bubbles: true, clientX: left + offsetX, clientY: top + offsetY,
      }));
    }, [type, x, y]);
    await finger('pointerdown', 200, 200);
    const down = (await towardsMiddle(page, 'y')) === 'ArrowDown';
    await finger('pointermove', 200, down ? 260 : 140);
    await page.waitForFunction(straight, ['Thumb', 'y']);
    await finger('pointerup', 200, 260);
    await page.locator('#arena').scrollIntoViewIfNeeded();
    await shot(page, 'game-telephone');
  },
};
