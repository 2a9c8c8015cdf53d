import { $, line, post, sleep, state } from '/assets/common.js';

/** How an event stood in the stream. */
const wire = ({ type, lastEventId, data }, named) =>
  [named && `event: ${type}`, lastEventId && `id: ${lastEventId}`, `data: ${data}`].filter(Boolean).join('\n');

/** A stream that the browser reads: it comes back by itself. */
class Browser {
  constructor(panel) {
    this.how = $('.state', panel);
    this.log = $('.log', panel);
    this.url = panel.dataset.stream;
    this.types = panel.dataset.types?.split(' ') ?? ['message'];
  }

  start() {
    this.source = new EventSource(this.url);
    state(this.how, 'waiting', 'connecting');
    this.source.onopen = () => state(this.how, 'live', 'open');
    this.source.onerror = () => {
      // An answer that is no stream ends it: then the browser gives up.
      const over = this.source.readyState === EventSource.CLOSED;
      state(this.how, over ? 'bad' : 'waiting', over ? 'refused' : 'broken; the browser comes back by itself');
    };
    for (const type of this.types) {
      this.source.addEventListener(type, (event) => line(this.log, wire(event, this.types.length > 1)));
    }
  }

  stop() {
    this.source.close();
    state(this.how, '', 'stopped');
  }
}

/** A stream that this page reads by hand, so that it can be broken: what an EventSource
 *  does by itself, and every line as it comes. */
class ByHand {
  constructor(panel) {
    this.how = $('.state', panel);
    this.log = $('.log', panel);
    this.url = panel.dataset.stream;
    this.breaker = $('#break', panel);
    this.breaker.addEventListener('click', () => this.break());
    this.last = '';
  }

  async start(wait = 0) {
    const cut = new AbortController();
    this.cut = cut;
    try {
      if (wait) {
        this.breaker.disabled = true;
        state(this.how, 'waiting', `broken; back in ${wait / 1000} s`);
        await sleep(wait);
        if (cut.signal.aborted) return;
        line(this.log, this.last ? `GET with Last-Event-ID: ${this.last}` : 'GET', 'own');
      }
      await this.read(cut.signal);
      if (!cut.signal.aborted) this.start(3000);
    } catch {
      if (!cut.signal.aborted) this.start(3000);
    }
  }

  async read(signal) {
    const headers = { accept: 'text/event-stream', ...(this.last && { 'last-event-id': this.last }) };
    const answer = await fetch(this.url, { headers, signal, cache: 'no-store' });
    state(this.how, 'live', 'open');
    this.breaker.disabled = false;
    const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ''; ;) {
      const { value, done } = await pieces.read();
      if (done) return;
      const blocks = (text + value).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) this.hear(block);
    }
  }

  hear(block) {
    const id = /^id: (.*)$/m.exec(block)?.[1];
    if (id === undefined) return;
    const missing = this.last ? Number(id) - Number(this.last) - 1 : 0;
    $('#missing').textContent = Number($('#missing').textContent) + missing;
    $('#last').textContent = this.last = id;
    line(this.log, block, missing ? 'bad' : '');
  }

  break() {
    this.cut.abort();
    $('#breaks').textContent = Number($('#breaks').textContent) + 1;
    line(this.log, 'the connection is cut', 'notice');
    this.start(3000);
  }

  stop() {
    this.cut.abort();
    this.breaker.disabled = true;
    state(this.how, '', 'stopped');
  }
}

const running = new Set();
for (const panel of document.querySelectorAll('[data-stream]')) {
  const stream = panel.dataset.stream === '/events/resumable' ? new ByHand(panel) : new Browser(panel);
  const button = $('.bar button', panel);
  button.setAttribute('aria-describedby', $('h2', panel).id);
  const toggle = () => {
    const starts = !running.has(stream);
    starts ? stream.start() : stream.stop();
    starts ? running.add(stream) : running.delete(stream);
    button.textContent = starts ? 'Stop' : 'Start';
  };
  button.addEventListener('click', toggle);
  if (['/events/stream', '/events/resumable'].includes(panel.dataset.stream)) toggle();
}

const said = $('.said');
$('#say').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  const waits = setTimeout(() => state(said, 'bad', 'no connection is free: stop a stream, here or in another tab'), 3000);
  try {
    await post('/broadcast', { message: form.message.value });
    form.reset();
    state(said, '', '');
  } catch (error) {
    state(said, 'bad', error.message);
  }
  clearTimeout(waits);
  form.message.focus();
});
