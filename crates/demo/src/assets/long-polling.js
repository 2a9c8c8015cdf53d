import { $, ask, line, post, rest, state } from '/assets/common.js';

const [messages, wire, how] = [$('#messages'), $('#wire'), $('.state')];
const said = $('.said');
let lastId = 0;

/** Asks, shows, asks again. After a failure it waits, each time twice as long, up to 30 s. */
async function listen() {
  for (let failures = 0; ;) {
    const begun = performance.now();
    try {
      state(how, 'live', `waiting for what follows message ${lastId}`);
      // One that is not answered in time was lost.
      const answer = await ask(`/messages?lastId=${lastId}`, { signal: AbortSignal.timeout(40_000) });
      const { messages: brought } = await answer.json();
      for (const message of brought) {
        line(messages, message.text ?? message.message);
        lastId = message.id;
      }
      const waited = ((performance.now() - begun) / 1000).toFixed(1);
      line(wire, `waited ${waited} s, brought ${brought.length}`, brought.length ? 'own' : '');
      failures = 0;
    } catch (error) {
      failures += 1;
      const wait = Math.random() * Math.min(30_000, 500 * 2 ** failures);
      state(how, 'waiting', `${error.message}; again in ${(wait / 1000).toFixed(1)} s`);
      await rest(wait);
    }
  }
}

$('#say').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    await post('/messages', { text: form.text.value });
    form.reset();
    state(said, '', '');
  } catch (error) {
    state(said, 'bad', error.message);
  }
  form.text.focus();
});

listen();
