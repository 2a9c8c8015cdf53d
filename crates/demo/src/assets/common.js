// What all pages share. Text from elsewhere gets into the page as text, never as markup.

/** The element of this selector. */
export const $ = (selector, within = document) => within.querySelector(selector);

/** Makes an element: its name, its properties, what stands in it (text or elements). */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Adds a line to a list (`<ol class="log">`), text or elements, with the time in front; keeps
 *  the last 200, and the end in view unless its reader has scrolled up. */
export function line(list, what, kind = '') {
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const time = element('time', {}, new Date().toLocaleTimeString([], { hour12: false }));
  const item = element('li', { className: kind }, time, element('p', {}, what));
  list.append(item);
  while (list.children.length > 200) list.firstElementChild.remove();
  if (follows) list.scrollTop = list.scrollHeight;
  return item;
}

/** Says how a connection is (`<output class="state">`): `live`, `waiting`, `bad` or
 *  nothing, and a few words. What has not changed is not read out again. */
export function state(output, how, words) {
  output.dataset.state = how;
  if (output.textContent !== words) output.textContent = words;
}

/** Asks; throws with the server's words where it refuses. */
export async function ask(url, options = {}) {
  const answer = await fetch(url, options).catch((error) => {
    // Each browser has its own words for it.
    throw error.name === 'TypeError' ? new Error('the server is out of reach') : error;
  });
  if (answer.ok) return answer;
  const text = await answer.text();
  let said = text;
  try { said = JSON.parse(text).detail ?? JSON.parse(text).message ?? text; } catch { /* plain words */ }
  throw new Error(said || `${answer.status} ${answer.statusText}`);
}

/** Posts JSON. */
export const post = (url, body) => ask(url, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
});

/** Waits. */
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits before another attempt, but no longer than until the network is back. */
export async function rest(ms) {
  const over = new AbortController();
  const back = new Promise((online) => addEventListener('online', online, { signal: over.signal }));
  await Promise.race([sleep(ms), back]);
  over.abort();
}

const themes = ['system', 'light', 'dark'];
const toggle = $('button.theme');
const stored = () => { try { return localStorage.getItem('theme'); } catch { return null; } };

function wear(theme) {
  const known = themes.includes(theme) ? theme : 'system';
  document.documentElement.dataset.theme = known;
  $('span', toggle).textContent = known;
}

toggle.hidden = false;
toggle.addEventListener('click', () => {
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
  try { localStorage.setItem('theme', next); } catch { /* It lasts as long as the page then. */ }
  wear(next);
});
wear(stored());
